"""The first hour of a new user, from an installed wheel, outside the repository."""
