"""The flights example: what is its own and no part of forebay."""
