"""For /etc/resolv.conf (resolv.conf(5)): dnsbridge as the nameserver of a host.

glibc asks the first three nameservers, at port 53, and takes at most six search domains before version 2.26.
"""

from dnsbridge.clients.names import PORT, Names

_MAX_SERVERS, _MAX_SEARCH = 3, 6


def resolv_conf(names: Names) -> str:
    """The whole file; a comment says what it cannot say."""
    search = [name for zone in names.zones for name in (f"svc.{zone}", zone)][:_MAX_SEARCH]
    lines = [f"search {' '.join(search)}"]
    for server in names.servers[:_MAX_SERVERS]:
        if server.port == PORT:
            lines.append(f"nameserver {server.host}")
        else:
            lines.append(f"# {server.host} answers at port {server.port}; a nameserver line means port {PORT}")
    return "\n".join([*lines, ""])
