"""What one process needs to answer: clusters, forward zones, the router before them, and prepared answers."""
