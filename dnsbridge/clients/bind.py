"""For BIND 9.14 or later.

`validate-except` excepts from validation: the zones are not signed. BIND's built-in empty zone above a reverse zone
(RFC 6303, RFC 7793) would answer for it, so that empty zone is disabled. `except-from` is the exception for those who
protect against rebinding.
"""

from dnsbridge.clients.names import Names

_EMPTY_ZONES = (
    *("10.in-addr.arpa", "168.192.in-addr.arpa", "254.169.in-addr.arpa", "d.f.ip6.arpa"),
    *(f"{second}.172.in-addr.arpa" for second in range(16, 32)),
    *(f"{second}.100.in-addr.arpa" for second in range(64, 128)),
)
"""Those of addresses that a cluster may have."""


def bind(names: Names) -> str:
    """Lines for named.conf; it has one block of options, so those go into it."""
    empty = [zone for zone in _EMPTY_ZONES if any(f".{each}".endswith(f".{zone}") for each in names.reverse)]
    lines = ["options {", f"    validate-except {{ {_quoted(names.all)} }};"]
    lines += [f'    disable-empty-zone "{zone}";' for zone in empty]
    lines += [
        "    // Where you have deny-answer-addresses, give it this exception:",
        f"    // deny-answer-addresses {{ 10.0.0.0/8; 172.16.0.0/12; 192.168.0.0/16; fc00::/7; }}"
        f" except-from {{ {_quoted(names.zones)} }};",
        "};",
    ]
    servers = " ".join(f"{server.at(' port ')};" for server in names.servers)
    lines += [f'zone "{zone}" {{ type forward; forward only; forwarders {{ {servers} }}; }};' for zone in names.all]
    return "\n".join([*lines, ""])


def _quoted(zones: tuple[str, ...]) -> str:
    return " ".join(f'"{zone}";' for zone in zones)
