"""The prefixes and nodes of a cluster, from each kind of source."""
