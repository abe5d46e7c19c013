"""A project's other engines, Trino and Spark: their settings, connections and statements."""
