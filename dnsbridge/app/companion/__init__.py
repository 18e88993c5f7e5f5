"""The life of `dnsbridge routes`: pictures of clusters in, wanted routes out to the sinks."""
