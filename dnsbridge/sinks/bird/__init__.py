"""Routes as a file that BIRD includes."""
