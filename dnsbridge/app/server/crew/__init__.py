"""Several processes that answer, and the one that holds their sockets and follows the clusters for them."""
