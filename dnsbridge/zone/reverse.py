"""Reverse lookup, and which reverse names a cluster owns.

    name of a whole address       PTR: one per service that has the address
    part-way name                 empty non-terminal while an address below it has a PTR
    apex of a reverse zone        SOA, NS as well

The cluster owns exactly its prefixes. The prefixes of services and of pods come from the settings, or else from its
objects. If these objects declare none of a family, the cluster owns each known service or pod address by itself.
"""

import msgspec

from dnsbridge.wire import addresses
from dnsbridge.wire import name as names
from dnsbridge.wire.addresses import Network, ReversePrefix
from dnsbridge.wire.compose import RRset
from dnsbridge.wire.constants import Type
from dnsbridge.zone.index import REVERSE_TREE, Index
from dnsbridge.zone.lookup import Asked, ZoneSettings, authority_records, minimal_any
from dnsbridge.zone.outcome import Found, NoData, NoSuchName, Outcome
from dnsbridge.zone.service import ServiceNames, subsets_of


class Prefixes(msgspec.Struct, frozen=True):
    """The cluster's prefixes in the settings; None where the objects declare them (`auto`)."""

    services: tuple[Network, ...] | None = None
    pods: tuple[Network, ...] | None = None


def networks(index: Index, prefixes: Prefixes) -> tuple[Network, ...]:
    """The prefixes that the cluster owns as a whole."""
    services = index.service_networks if prefixes.services is None else prefixes.services
    return services + (index.pod_networks if prefixes.pods is None else prefixes.pods)


def owned_bits(index: Index, prefixes: Prefixes, prefix: ReversePrefix) -> int | None:
    """Length of the cluster's reverse zone that holds this prefix; None if none does."""
    bits = addresses.owning_prefix(prefix, networks(index, prefixes))
    if bits is None and prefix.bits == len(prefix.packed) * 8:
        version = 4 if len(prefix.packed) == 4 else 6
        observe_services = prefixes.services is None and not _declared(index.service_networks, version)
        observe_pods = prefixes.pods is None and not _declared(index.pod_networks, version)
        for service in _services(index, index.pointers.get(prefix.packed, ())):
            if observe_services and prefix.packed in service.service.cluster_ips:
                return prefix.bits
            if observe_pods and any(
                endpoint.pod and prefix.packed in endpoint.addresses
                for held in subsets_of(service.sources)
                for endpoint in held.endpoints
            ):
                return prefix.bits
    return bits


def _declared(declared: tuple[Network, ...], version: int) -> bool:
    return any(network.version == version for network in declared)


def _services(index: Index, owners: tuple[bytes, ...]) -> list[ServiceNames]:
    """The services that these PTR targets (SVC.NS.svc, EP.SVC.NS.svc) belong to."""
    found = []
    for owner in owners:
        service, namespace = names.labels(owner)[-3:-1]
        found.append(index.namespaces[namespace].services[service])
    return found


def lookup(
    index: Index, settings: ZoneSettings, asked: Asked, prefix: ReversePrefix, bits: int, suffix: bytes
) -> Outcome:
    """The outcome for a reverse name in the cluster's zone of `bits` bits; targets end with `suffix`."""
    whole = prefix.bits == len(prefix.packed) * 8
    apex = prefix.whole and prefix.bits == bits
    # A name below a whole address is owned if that address is.
    depends = (addresses.reverse_name(prefix.packed),) if whole else (asked.relative, REVERSE_TREE)
    if not prefix.whole:
        return NoSuchName(depends, "not the reverse name of an address")
    owners = index.pointers.get(prefix.packed, ()) if whole else ()
    if asked.qtype == Type.PTR and owners:
        data = tuple([owner + suffix for owner in owners])
        origin = tuple([obj for service in _services(index, owners) for obj in service.objects])
        return Found((RRset(asked.name, Type.PTR, settings.ttl, data),), depends, "who has the address", origin=origin)
    if apex:
        records, additional = authority_records(index, settings, asked, suffix)
        if asked.qtype in records:
            is_ns = asked.qtype == Type.NS
            return Found(records[asked.qtype], depends, "a reverse zone's apex", additional if is_ns else ())
    if not (apex or owners or (not whole and index.has_below(prefix))):
        return NoSuchName(depends, "no service and no ready endpoint has the address")
    if asked.qtype == Type.ANY and (apex or owners):
        return minimal_any(settings, asked, depends)
    return NoData(depends, "the name exists, without this type")
