"""Making projects: the starter, the flights example, and forebay added to a dbt project."""
