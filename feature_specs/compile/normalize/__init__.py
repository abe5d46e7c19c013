"""From a tree to one meaning: leaves, columns, clock and orders all determined."""
