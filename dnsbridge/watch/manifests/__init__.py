"""A cluster's objects from manifest files."""
