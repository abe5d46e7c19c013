"""A real Feast in a virtual environment of its own, which tests run as another process."""
