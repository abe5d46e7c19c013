"""What Feast's own client gets from our server."""
