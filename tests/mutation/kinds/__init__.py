"""The mutations, by the passes that they break."""
