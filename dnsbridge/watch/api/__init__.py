"""A cluster from its API server: connections, lists and watches."""
