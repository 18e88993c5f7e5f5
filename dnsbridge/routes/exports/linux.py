"""Network settings of a Linux host: netplan, systemd-networkd, NetworkManager.

DNS is left out: a server added to a link would take turns with the link's other servers, and these answer that the
cluster's names do not exist.
"""

import shlex
from collections.abc import Iterator
from typing import Any

import yaml

from dnsbridge.routes.exports.form import About, Devices, Format, Hops
from dnsbridge.routes.model import NextHop, Route


def _netplan(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """network.ethernets.NAME.routes (netplan's YAML configuration reference)."""
    interfaces: dict[str, Any] = {}
    for route in routes:
        hop = route.next_hops[0]
        entry = {"to": str(route.prefix)} | ({"via": str(hop.address)} if hop.address else {"scope": "link"})
        interfaces.setdefault(hop.device or about.interface, {"routes": []})["routes"].append(entry)
    network: dict[str, Any] = {"version": 2} | ({"ethernets": interfaces} if interfaces else {})
    yield from yaml.safe_dump({"network": network}, sort_keys=False).splitlines()


def _networkd(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """One [Route] section for each route (systemd.network(5)); MultiPathRoute for several next hops."""
    for route in routes:
        yield ""
        yield "[Route]"
        yield f"Destination={route.prefix}"
        gateways = [hop for hop in route.next_hops if hop.address]
        if not gateways:
            yield "Scope=link"
        elif len(gateways) == 1:
            yield f"Gateway={gateways[0].address}"
        else:
            yield from (f"MultiPathRoute={_multipath(hop)} {hop.weight}" for hop in gateways)


def _multipath(hop: NextHop) -> str:
    return f"{hop.address}@{hop.device}" if hop.device else str(hop.address)


def _nmcli(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """+ipv4.routes adds to a connection's routes, and does not add an existing route again (nmcli(1))."""
    connection = shlex.quote(about.interface)
    for route in routes:
        family = "ipv6" if route.prefix.version == 6 else "ipv4"
        hop = route.next_hops[0]
        way = f"{route.prefix} {hop.address}" if hop.address else f"{route.prefix}"
        yield f"nmcli connection modify {connection} +{family}.routes '{way}'"
    if routes:
        yield f"nmcli connection up {connection}"


FORMATS = (
    Format(
        "netplan",
        "A netplan file (YAML) with the routes of --interface.",
        _netplan,
        "Put it into /etc/netplan, and run: netplan apply",
        needs_interface=True,
    ),
    Format(
        "networkd",
        "A drop-in of systemd-networkd with the routes of --interface.",
        _networkd,
        "Put it into the folder NAME.network.d beside the interface's own .network file, and run: networkctl reload",
        hops=Hops.WEIGHTED,
        devices=Devices.INTERFACE,
        needs_interface=True,
    ),
    Format(
        "nmcli",
        "A shell script that adds the routes to a connection of NetworkManager, named with --interface.",
        _nmcli,
        "Run it with sh as root.",
        devices=Devices.NONE,
        interface="a connection",
        needs_interface=True,
        free_names=True,
    ),
)
