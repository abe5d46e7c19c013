"""Events of jobs."""
