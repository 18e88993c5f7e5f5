"""For dnsmasq, and for pfSense's DNS Forwarder, which runs it. `rebind-domain-ok` excepts from rebinding protection."""

from dnsbridge.clients.names import Names


def dnsmasq(names: Names) -> str:
    """A file for dnsmasq.d."""
    lines = [f"server=/{zone}/{server.at('#')}" for zone in names.all for server in names.servers]
    lines += [f"rebind-domain-ok=/{'/'.join(names.zones)}/"]
    return "\n".join([*lines, ""])
