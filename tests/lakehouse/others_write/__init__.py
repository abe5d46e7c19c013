"""A lake that others write too."""
