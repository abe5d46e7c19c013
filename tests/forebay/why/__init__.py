"""Why a value."""
