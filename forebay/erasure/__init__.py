"""`forebay erase`: an entity out of everything that the project keeps, and the proof of it."""
