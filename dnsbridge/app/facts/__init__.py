"""What is shown of a server: its first lines, metrics, `config show`, `lookup`, upstreams, the cache."""
