"""Compiling a project."""
