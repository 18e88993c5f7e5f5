"""Pictures from the files of the field cases, hosts in one line, and a wanted set as text."""

from collections.abc import Iterator
from ipaddress import ip_interface, ip_network
from pathlib import Path

import yaml

from dnsbridge.cluster.decode import Invalid, Unused, decode, objects_of
from dnsbridge.cluster.objects import Object
from dnsbridge.routes.host import Host, Interface
from dnsbridge.routes.model import Wanted
from dnsbridge.routes.pictures.from_objects import AUTO, picture_of
from dnsbridge.routes.pictures.from_table import Table, picture_of_tables
from dnsbridge.routes.pictures.picture import Picture
from dnsbridge.routes.tables.reading import Text, read
from dnsbridge.zone.reverse import Prefixes

FOLDER = Path(__file__).parent


def host(*interfaces: str) -> Host:
    """A host with interfaces as `eth0 10.0.0.9/24`, each with further addresses and perhaps `mtu=9000`."""
    found = []
    for text in interfaces:
        name, *words = text.split()
        addresses = tuple(ip_interface(word) for word in words if "=" not in word)
        options = dict(word.split("=") for word in words if "=" in word)
        found.append(Interface(name, addresses, int(options.get("mtu", 1500))))
    return Host(tuple(found))


def objects(name: str) -> list[Object]:
    """The objects of a file of clusters/, all of which are well."""
    text = (FOLDER / "clusters" / f"{name}.yaml").read_text(encoding="utf-8")
    outcomes = [decode(item) for document in yaml.safe_load_all(text) for item in objects_of(document)]
    assert [str(each) for each in outcomes if isinstance(each, Invalid | Unused)] == []
    return [each for each in outcomes if isinstance(each, Object)]


def of_objects(name: str, said: Prefixes = AUTO, cluster: str = "dev", precedence: int = 0) -> Picture:
    """The picture of a file of clusters/."""
    return picture_of(cluster, objects(name), said, precedence)


def of_table(name: str, services: str = "", pods: str = "", cluster: str = "dev") -> Picture:
    """The picture of a file of tables/."""
    text = (FOLDER / "tables" / f"{name}.txt").read_text(encoding="utf-8")
    return of_text(text, services, pods, cluster, f"{name}.txt")


def of_text(
    text: str, services: str = "", pods: str = "", cluster: str = "dev", name: str = "table", *, through: bool = False
) -> Picture:
    """The picture of a table's text, all of which is read."""
    found = read(text)
    assert isinstance(found, Text), found
    assert (found.left_out, found.objects) == ([], [])
    said = Prefixes(
        tuple(ip_network(word) for word in services.split()) or None,
        tuple(ip_network(word) for word in pods.split()) or None,
    )
    tables = [Table(name, tuple(each.routes), each.host) for each in found.hosts]
    return picture_of_tables(cluster, tables, said, through=through)


def lines(wanted: Wanted) -> Iterator[str]:
    """A wanted set as a person reads it: routes with kind and origin, then notes."""
    for route in wanted.routes:
        hops = " ".join(str(hop) for hop in route.next_hops)
        yield f"{route.prefix} {hops}    {route.kind}, {route.origin}"
    for note in wanted.notes:
        yield f"{note.severity}: {note}"
