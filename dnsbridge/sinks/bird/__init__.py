"""Routes as a file that BIRD's configuration includes."""
