"""The interval form (DESIGN 3): every relational operator over rows that live for intervals of t."""
