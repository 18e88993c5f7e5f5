"""The facts that a server shows: its first lines, metrics, `config show`, `lookup`, upstreams, the cache."""
