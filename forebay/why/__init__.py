"""Where a feature's value comes from."""
