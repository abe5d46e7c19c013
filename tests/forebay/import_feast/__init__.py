"""What `forebay import feast` makes of a Feast repository."""
