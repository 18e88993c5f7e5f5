"""What is known of a cluster's prefixes and nodes, from each kind of source."""
