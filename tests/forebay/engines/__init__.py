"""Commands that compute on other engines."""
