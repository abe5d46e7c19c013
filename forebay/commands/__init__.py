"""One command a module, imported only when it is run."""
