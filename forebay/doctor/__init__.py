"""`forebay doctor`: checks of a project and of what it stands on, each with what is wrong and what to do."""
