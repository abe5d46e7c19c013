"""`forebay erase`: remove an entity from everything the project keeps, and prove it."""
