"""The whole forward zone, as record sets and as a master file (RFC 1035 section 5).

With `pods: insecure` every possible address has a pod name, so pod names are left out.
"""

from collections.abc import Iterable, Iterator

from dnsbridge.wire import addresses
from dnsbridge.wire import name as names
from dnsbridge.wire.compose import RRset
from dnsbridge.wire.constants import Type
from dnsbridge.wire.presentation import data_to_text, type_to_text
from dnsbridge.zone.index import Index
from dnsbridge.zone.lookup import NS_LABELS, Asked, ZoneSettings, lookup
from dnsbridge.zone.outcome import Found

_TYPES = (Type.SOA, Type.NS, Type.TXT, Type.CNAME, Type.A, Type.AAAA, Type.SRV)


def owners(index: Index, settings: ZoneSettings) -> Iterator[bytes]:
    """The relative names that have records, parents before children."""
    yield b""
    yield names.from_labels(b"dns-version")
    if settings.ns_addresses:
        yield NS_LABELS
    for namespace in sorted(index.namespaces):
        held = index.namespaces[namespace]
        for label in sorted(held.services):
            service = held.services[label]
            if not service.exists:
                continue
            yield service.relative
            for host in sorted(service.hosts):
                yield names.from_labels(host) + service.relative
            for port in sorted(service.ports):
                yield names.from_labels(*port) + service.relative
        if settings.pods == "verified":
            yield from _pods(namespace, held.pods)


def _pods(namespace: bytes, pods: Iterable[bytes]) -> Iterator[bytes]:
    for address in sorted(pods):
        yield names.from_labels(addresses.to_label(address), namespace, b"pod")


def rrsets(index: Index, settings: ZoneSettings, zone: bytes) -> Iterator[RRset]:
    """Every record set of the zone, its SOA first."""
    for relative in owners(index, settings):
        for rtype in _TYPES:
            found = lookup(index, settings, Asked(relative + zone, relative, zone, rtype))
            if isinstance(found, Found):
                yield from found.answer


def to_lines(index: Index, settings: ZoneSettings, zone: bytes) -> Iterator[str]:
    """The zone as lines of a master file with absolute names."""
    yield f"$ORIGIN {names.to_text(zone)}"
    for rrset in rrsets(index, settings, zone):
        for data in rrset.data:
            shown = data_to_text(rrset.rtype, data)
            yield f"{names.to_text(rrset.owner)}\t{rrset.ttl}\tIN\t{type_to_text(rrset.rtype)}\t{shown}"
