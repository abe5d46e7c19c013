"""From a request's shape to a plan, from a plan and keys to columns of stored bytes. Knows no HTTP."""
