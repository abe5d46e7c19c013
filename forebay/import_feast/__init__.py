"""Read a Feast repository, and write it as sources, feature views and services of a dbt project.

In order: `read_registry` asks Feast, `translate` decides what becomes of each object, `write_texts`
writes SQL and YAML, `place_files` puts them into a project.
"""
