"""For unbound, and for pfSense and OPNsense, which run it.

`private-domain` excepts from rebinding protection, `domain-insecure` from validation: the zones are not signed. A
reverse zone needs a `local-zone` of its own, or unbound's built-in empty zone above it (RFC 6303) answers.
"""

from dnsbridge.clients.names import Names


def unbound(names: Names) -> str:
    """A file for unbound.conf.d."""
    lines = ["server:"]
    lines += [f'    private-domain: "{zone}."' for zone in names.zones]
    lines += [f'    domain-insecure: "{zone}."' for zone in names.all]
    lines += [f'    local-zone: "{zone}." transparent' for zone in names.reverse]
    for zone in names.all:
        lines += ["forward-zone:", f'    name: "{zone}."']
        lines += [f"    forward-addr: {server.at('@')}" for server in names.servers]
    return "\n".join([*lines, ""])
