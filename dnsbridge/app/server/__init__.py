"""The life of `dnsbridge serve`: its sockets, its HTTP side, one process or a crew of them, its end."""
