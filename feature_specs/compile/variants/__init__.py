"""The variants of a view, read from its interval form or its query."""
