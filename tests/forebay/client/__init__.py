"""Clients of feature vectors, against real servers."""
