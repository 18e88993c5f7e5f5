"""The UDP servers of a Service: its ClusterIPs, or the ready endpoints of a headless Service, each with a port.

servers(index, namespace, name, port)   -> ((packed address, port number), ...), at least one, sorted by address
                                         | NoServer
"""

from itertools import product

from msgspec import Struct

from dnsbridge.cluster.objects import Port
from dnsbridge.zone.index import Index
from dnsbridge.zone.service import ServiceNames, subsets_of

Servers = tuple[tuple[bytes, int], ...]


class NoServer(Struct, frozen=True):
    """Why a Service cannot be asked now, worded as the end of a sentence about the Service."""

    problem: str


def servers(index: Index, namespace: str, name: str, port: int | str) -> Servers | NoServer:
    """The servers of a Service; `port` is the number or the name of one of its ports."""
    held = index.namespaces.get(namespace.encode())
    found = held.services.get(name.encode()) if held else None
    if found is None:
        return NoServer("there is no such Service")
    service = found.service
    if service.type == "ExternalName":
        return NoServer("is an ExternalName, which has no address of its own")
    matching = [each for each in service.ports if port in (each.number, each.name)]
    if service.headless:
        return _endpoints(found, port, matching[0].name if matching else None)
    numbers = [each.number for each in matching if each.protocol == "UDP"]
    if not numbers:
        return NoServer(f"has no UDP port {port}; its ports are {_listed(service.ports)}")
    return tuple(sorted((address, numbers[0]) for address in service.cluster_ips))


def _endpoints(found: ServiceNames, port: int | str, name: str | None) -> Servers | NoServer:
    """The ready endpoints; `name` is the name of the Service's port, which may have another number at an endpoint."""
    ready: dict[tuple[bytes, int], None] = {}
    ports: dict[Port, None] = {}
    for held in subsets_of(found.sources):
        ports |= dict.fromkeys(held.ports)
        numbers = [each.number for each in held.ports if each.protocol == "UDP" and _is(each, port, name)]
        if not held.ports and isinstance(port, int):
            numbers = [port]  # the Service has no ports at all, so any port may be asked
        for endpoint in held.endpoints:
            if endpoint.ready or found.service.publish_not_ready:
                ready |= dict.fromkeys(product(endpoint.addresses, numbers[:1]))
    if ready:
        return tuple(sorted(ready))
    if not found.hosts:
        return NoServer("has no ready endpoint")
    return NoServer(f"has no endpoint with a UDP port {port}; their ports are {_listed(tuple(ports))}")


def _is(each: Port, port: int | str, name: str | None) -> bool:
    return each.name == name if name is not None else port in (each.number, each.name)


def _listed(ports: tuple[Port, ...]) -> str:
    shown = [f"{each.name} {each.number}/{each.protocol}".strip() for each in ports[:8]]
    return ", ".join(shown) or "none"
