"""Where a feature's value comes from, and why the online one differs."""
