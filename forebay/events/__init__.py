"""OpenLineage events of what forebay runs: jobs, dbt's nodes, views, ingests and streams."""
