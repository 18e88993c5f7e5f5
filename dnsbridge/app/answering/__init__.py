"""The parts that one process answers from: clusters, forward zones, the router before them, and prepared answers."""
