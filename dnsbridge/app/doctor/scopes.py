"""What systemd-resolved has for each link, as its own program resolvectl(1) shows it to everybody."""

import re
import subprocess
from collections.abc import Sequence

from dnsbridge.config import Address, read_server
from dnsbridge.doctor.facts import Scope
from dnsbridge.doctor.routing_domains import STUBS

TIMEOUT = 5.0
"""Seconds; where there is no systemd-resolved, D-Bus says so at once."""
_LINE = re.compile(r"(?:Global|Link [0-9]+ \(([^)]+)\)):(.*)")


def uses_resolved(name_servers: Sequence[str], nsswitch: Sequence[str]) -> bool:
    """Whether programs of this host ask systemd-resolved."""
    return "resolve" in nsswitch or any(server in STUBS for server in name_servers)


def scopes() -> list[Scope]:
    """Those with name servers or domains; none where it cannot be asked. Blocks."""
    try:
        return read(_run("dns"), _run("domain"))
    except (OSError, subprocess.SubprocessError):
        return []


def read(dns: str, domain: str) -> list[Scope]:
    """The scopes in what `resolvectl dns` and `resolvectl domain` print."""
    servers, domains = _links(dns), _links(domain)
    return [
        Scope(link, tuple(servers[link]), tuple(domains.get(link, ())))
        for link in servers
        if servers[link] or domains.get(link)
    ]


def address(server: str) -> Address | None:
    """A name server as it is shown, `10.0.0.53:5300%eth0#ns.example`; None: not one that can be asked."""
    found = read_server(re.split("[%#]", server)[0])
    return found if isinstance(found, Address) else None


def _links(text: str) -> dict[str, list[str]]:
    """The words of each link; the empty one is all links."""
    found = [_LINE.fullmatch(line.strip()) for line in text.splitlines()]
    return {each[1] or "": each[2].split() for each in found if each}


def _run(what: str) -> str:
    return subprocess.run(
        ["resolvectl", what], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=True
    ).stdout
