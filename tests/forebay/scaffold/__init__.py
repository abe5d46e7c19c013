"""Making projects."""
