"""`forebay compile`: a project's manifest in; catalog, SQL, macros and lineage out."""
