"""From the interval form to SQL over a spine: DESIGN 3's lowerings, and the choice among them."""
