"""Real servers for tests: fetched by package clients into a cache outside the tree, run on loopback.

A module a server, on what `process` and `maven` do for all of them.
"""
