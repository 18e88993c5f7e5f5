"""Several processes that answer, and the main process, which holds their sockets and follows the clusters for them."""
