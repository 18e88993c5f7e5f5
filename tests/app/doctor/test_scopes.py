"""What resolvectl(1) prints, as systemd 252 and 257 do, and name servers in each of its forms."""

import pytest

from dnsbridge.app.doctor.scopes import address, read, uses_resolved
from dnsbridge.config import Address
from dnsbridge.doctor.facts import Scope

DNS = """Global: 10.0.0.53
Link 2 (eth0): 10.0.0.54 fd00::54
Link 3 (tun0): 10.8.0.1:5300#vpn.example
Link 4 (docker0):
"""
DOMAIN = """Global: corp.example
Link 2 (eth0):
Link 3 (tun0): ~. ~local vpn.example
Link 4 (docker0):
"""


def test_scopes() -> None:
    """One for each link that has something, and one for all of them."""
    assert read(DNS, DOMAIN) == [
        Scope("", ("10.0.0.53",), ("corp.example",)),
        Scope("eth0", ("10.0.0.54", "fd00::54")),
        Scope("tun0", ("10.8.0.1:5300#vpn.example",), ("~.", "~local", "vpn.example")),
    ]


@pytest.mark.parametrize("text", ["", "Failed to get global data: Connection refused\n", "Link 2 (eth0)\n"])
def test_no_scopes(text: str) -> None:
    """Whatever else it prints."""
    assert read(text, text) == []


@pytest.mark.parametrize(
    ("shown", "server"),
    [
        ("10.0.0.53", Address("10.0.0.53", 53)),
        ("10.0.0.53:5300", Address("10.0.0.53", 5300)),
        ("10.0.0.53%eth0#ns.example", Address("10.0.0.53", 53)),
        ("fd00::53", Address("fd00::53", 53)),
        ("[fd00::53]:5300#ns.example", Address("fd00::53", 5300)),
        ("n/a", None),
    ],
)
def test_name_servers(shown: str, server: Address | None) -> None:
    """The address and port to ask."""
    assert address(shown) == server


@pytest.mark.parametrize(
    ("name_servers", "nsswitch", "uses"),
    [
        (["127.0.0.53"], ["files", "dns"], True),
        (["10.0.0.53"], ["files", "resolve", "[!UNAVAIL=return]", "dns"], True),
        (["10.0.0.53"], ["files", "dns"], False),
    ],
)
def test_who_asks_it(name_servers: list[str], nsswitch: list[str], uses: bool) -> None:
    """By its stub, or by the module of nsswitch.conf."""
    assert uses_resolved(name_servers, nsswitch) is uses
