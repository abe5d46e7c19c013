"""When the rows of a leaf are visible, and as what."""
