"""Forward lookup: from a question below the cluster's zone (or an alias zone) to an outcome.

The shapes below are relative to the zone Z. Any other name below `svc.Z` or `pod.Z` does not exist; any other name
below Z has a shape that the Kubernetes specification (v1.1.0) does not define.

    (Z itself)                        SOA, NS
    dns-version                       TXT
    ns.dns, dns                       the server's addresses; an empty non-terminal
    svc, pod, NS.svc, NS.pod          empty non-terminals
    SVC.NS.svc                        service
    EP.SVC.NS.svc                     endpoint
    _PROTO.SVC.NS.svc                 empty non-terminal
    _PORT._PROTO.SVC.NS.svc           port
    A-B-C-D.NS.pod                    pod
"""

from typing import Literal

import msgspec

from dnsbridge.cluster.objects import Object
from dnsbridge.wire import addresses, rdata
from dnsbridge.wire import name as names
from dnsbridge.wire.compose import RRset
from dnsbridge.wire.constants import Type
from dnsbridge.zone.index import Index
from dnsbridge.zone.outcome import Alias, Found, NoData, NoSuchName, Outcome
from dnsbridge.zone.service import Host, ServiceNames, Target

SPECIFICATION = b"1.1.0"
"""Version of the Kubernetes DNS-based service discovery specification, in `dns-version`."""
NS_LABELS = names.from_labels(b"ns", b"dns")
MAILBOX_LABELS = names.from_labels(b"hostmaster")

PodsMode = Literal["disabled", "insecure", "verified"]


class ZoneSettings(msgspec.Struct, frozen=True):
    """How a cluster's names are answered."""

    ttl: int = 5
    """Seconds."""
    negative_ttl: int = 1
    """Seconds: TTL and minimum of the SOA in a negative answer."""
    pods: PodsMode = "insecure"
    ns_addresses: tuple[bytes, ...] = ()
    """Packed addresses of `ns.dns.Z`."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A question within a zone."""

    name: bytes
    """As asked."""
    relative: bytes
    """The folded name without the zone's suffix."""
    suffix: bytes
    """The zone's suffix, as asked: every name inside the answer ends with it."""
    qtype: int


def lookup(index: Index, settings: ZoneSettings, asked: Asked) -> Outcome:
    """The outcome of a question below Z, from the cluster's objects."""
    labels = names.labels(asked.relative)
    if not labels:
        return _apex(index, settings, asked)
    last = labels[-1]
    if last == b"svc":
        return _below_svc(index, settings, asked, labels)
    if last == b"pod":
        return _below_pod(index, settings, asked, labels)
    if labels == [b"dns-version"]:
        return _records(settings, asked, {Type.TXT: (rdata.txt(SPECIFICATION),)}, "the specification's version")
    if labels == [b"ns", b"dns"]:
        host = _family(settings.ns_addresses)
        return _records(settings, asked, {Type.A: host.ipv4, Type.AAAA: host.ipv6}, "this server's own addresses")
    if labels == [b"dns"]:
        return NoData((asked.relative,), "an empty non-terminal: ns.dns is below it")
    return NoSuchName((asked.relative,), "the specification defines no such shape of name", defined=False)


def soa(index: Index, settings: ZoneSettings, apex: bytes, zone: bytes, ttl: int) -> RRset:
    """The SOA of the zone at `apex`; the server's name is below `zone`, which equals `apex` in a forward zone."""
    data = rdata.soa(NS_LABELS + zone, MAILBOX_LABELS + zone, index.serial.value, settings.negative_ttl)
    return RRset(apex, Type.SOA, ttl, (data,))


def authority_records(
    index: Index, settings: ZoneSettings, asked: Asked, zone: bytes
) -> tuple[dict[int, tuple[RRset, ...]], tuple[RRset, ...]]:
    """SOA and NS of the apex that was asked for, by type, and the additional address records of the NS."""
    server = NS_LABELS + zone
    ns = RRset(asked.name, Type.NS, settings.ttl, (server,))
    start_of_authority = soa(index, settings, asked.name, zone, settings.ttl)
    return {Type.SOA: (start_of_authority,), Type.NS: (ns,)}, _address_sets(
        server, settings.ttl, _family(settings.ns_addresses)
    )


def _apex(index: Index, settings: ZoneSettings, asked: Asked) -> Outcome:
    records, additional = authority_records(index, settings, asked, asked.suffix)
    if asked.qtype in records:
        return Found(
            records[asked.qtype],
            (asked.relative,),
            "the zone's apex",
            additional if asked.qtype == Type.NS else (),
        )
    if asked.qtype == Type.ANY:
        return minimal_any(settings, asked, (asked.relative,))
    return NoData((asked.relative,), "the zone's apex has SOA and NS only")


def _below_svc(index: Index, settings: ZoneSettings, asked: Asked, labels: list[bytes]) -> Outcome:
    depends = (asked.relative,)
    count = len(labels)
    if count == 1:
        return NoData(depends, "an empty non-terminal: namespaces are below it")
    namespace = index.namespaces.get(labels[-2])
    if namespace is None:
        return NoSuchName(depends, f"there is no namespace {names.label_to_text(labels[-2])}")
    if count == 2:
        return NoData(depends, "a namespace: services are below it", _of(namespace.object))
    service = namespace.services.get(labels[-3])
    if service is None:
        return NoSuchName(depends, f"namespace {namespace_text(labels)} has no service {label_text(labels[-3])}")
    if not service.exists:
        return NoSuchName(depends, f"{service.service.key} is headless and has no ready endpoint")
    if count == 3:
        return _service(settings, asked, service, depends)
    if count == 4:
        host = service.hosts.get(labels[0])
        if host is not None:
            return _records(settings, asked, {Type.A: host.ipv4, Type.AAAA: host.ipv6}, "an endpoint", service.objects)
        if labels[0] in service.protocols():
            return NoData(depends, "an empty non-terminal: ports are below it", service.objects)
        return NoSuchName(depends, f"{service.service.key} has no ready endpoint {label_text(labels[0])}")
    if count == 5:
        targets = service.ports.get((labels[0], labels[1]))
        if targets:
            return _port(settings, asked, service, targets, depends)
        return NoSuchName(depends, f"{service.service.key} has no such named port")
    return NoSuchName(depends, "no name of the specification has so many labels")


def label_text(label: bytes) -> str:
    """A label for an explanation."""
    return names.label_to_text(label)


def namespace_text(labels: list[bytes]) -> str:
    """The namespace of a name below svc or pod, for an explanation."""
    return label_text(labels[-2])


def _of(obj: Object | None) -> tuple[Object, ...]:
    return (obj,) if obj else ()


def _service(settings: ZoneSettings, asked: Asked, service: ServiceNames, depends: tuple[bytes, ...]) -> Outcome:
    qtype = asked.qtype
    if service.alias:
        cname = RRset(asked.name, Type.CNAME, settings.ttl, (service.alias,))
        if qtype in (Type.CNAME, Type.ANY):
            return Found((cname,), depends, "an ExternalName service", origin=service.objects)
        return Alias(cname, service.alias, depends, "an ExternalName service", service.objects)
    if qtype == Type.SRV and service.targets:
        return _port(settings, asked, service, service.targets, depends)
    if service.service.external_address:
        why = "an ExternalName service whose externalName is an address"
    else:
        why = "a headless service: its ready endpoints" if service.service.headless else "a service: its ClusterIPs"
    return _records(settings, asked, {Type.A: service.ipv4, Type.AAAA: service.ipv6}, why, service.objects)


def _port(
    settings: ZoneSettings, asked: Asked, service: ServiceNames, targets: tuple[Target, ...], depends: tuple[bytes, ...]
) -> Outcome:
    if asked.qtype != Type.SRV:
        if asked.qtype == Type.ANY:
            return minimal_any(settings, asked, depends)
        return NoData(depends, "a port has SRV records only", service.objects)
    owner = service.relative + asked.suffix
    weight = max(1, 100 // len(targets))
    data = tuple(
        [
            rdata.srv(0, weight, number, names.from_labels(label) + owner if label else owner)
            for number, label in targets
        ]
    )
    additional: list[RRset] = []
    for label in dict.fromkeys(label for _, label in targets):
        host = service.hosts[label] if label else Host(service.ipv4, service.ipv6)
        additional += _address_sets(names.from_labels(label) + owner if label else owner, settings.ttl, host)
    answer = (RRset(asked.name, Type.SRV, settings.ttl, data),)
    return Found(answer, depends, "a service's ports", tuple(additional), service.objects)


def _below_pod(index: Index, settings: ZoneSettings, asked: Asked, labels: list[bytes]) -> Outcome:
    depends: tuple[bytes, ...] = (asked.relative,)
    if len(labels) == 1:
        return NoData(depends, "an empty non-terminal: namespaces are below it")
    if settings.pods == "disabled":
        return NoSuchName(depends, "names of pods are switched off (pods: disabled)")
    namespace = index.namespaces.get(labels[-2])
    if len(labels) > 2:
        # A name exists only while its namespace does, so the answer depends on the namespace as well.
        depends = (asked.relative, names.from_labels(*labels[-2:]))
    if namespace is None:
        return NoSuchName(depends, f"there is no namespace {namespace_text(labels)}")
    if len(labels) == 2:
        return NoData(depends, "a namespace: pods are below it", _of(namespace.object))
    address = addresses.from_label(labels[0]) if len(labels) == 3 else None
    if address is None:
        return NoSuchName(depends, "not an address with dashes")
    # An address has several spellings; a change reports the canonical one.
    depends = (names.from_labels(addresses.to_label(address), *labels[-2:]), *depends[1:])
    pods = namespace.pods.get(address, ())
    if settings.pods == "verified" and not pods:
        return NoSuchName(depends, f"no pod in namespace {namespace_text(labels)} has {addresses.text(address)}")
    host = _family((address,))
    why = "the pod's address, verified" if pods else "the address in the name itself (pods: insecure)"
    return _records(settings, asked, {Type.A: host.ipv4, Type.AAAA: host.ipv6}, why, pods, depends)


def _records(
    settings: ZoneSettings,
    asked: Asked,
    held: dict[int, tuple[bytes, ...]],
    because: str,
    origin: tuple[Object, ...] = (),
    depends: tuple[bytes, ...] = (),
) -> Outcome:
    """The records of the requested type, of a name whose records are `held`."""
    depends = depends or (asked.relative,)
    data = held.get(asked.qtype)
    if data:
        return Found((RRset(asked.name, asked.qtype, settings.ttl, data),), depends, because, origin=origin)
    if asked.qtype == Type.ANY:
        return minimal_any(settings, asked, depends, origin)
    return NoData(depends, f"{because}; none of this type", origin)


def minimal_any(
    settings: ZoneSettings, asked: Asked, depends: tuple[bytes, ...], origin: tuple[Object, ...] = ()
) -> Found:
    """The answer to ANY (RFC 8482 section 4.2)."""
    hinfo = RRset(asked.name, Type.HINFO, settings.ttl, (rdata.hinfo(b"RFC8482", b""),))
    return Found((hinfo,), depends, "ANY gets one small record (RFC 8482)", origin=origin)


def _family(packed: tuple[bytes, ...]) -> Host:
    return Host(
        tuple([address for address in packed if len(address) == 4]),
        tuple([address for address in packed if len(address) == 16]),
    )


def _address_sets(owner: bytes, ttl: int, host: Host) -> tuple[RRset, ...]:
    sets = (RRset(owner, Type.A, ttl, host.ipv4), RRset(owner, Type.AAAA, ttl, host.ipv6))
    return tuple([rrset for rrset in sets if rrset.data])
