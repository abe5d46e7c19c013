"""A dbt project on disk: its setup, profile and manifest, and dbt itself, run in this process or as a program."""
