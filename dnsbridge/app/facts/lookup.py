"""Explains the answer to a question: the parts that serve questions are asked once, and give their reasons as well."""

from collections.abc import Callable, Container, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from msgspec import Struct

from dnsbridge.app.answering.parts import Parts
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.cluster.objects import Object
from dnsbridge.resolvers.chain import Link
from dnsbridge.resolvers.resolver import Outcome, Pending
from dnsbridge.wire import edns, whole_message
from dnsbridge.wire import name as names
from dnsbridge.wire.addresses import reverse_name
from dnsbridge.wire.compose import RRset, octets
from dnsbridge.wire.constants import Class, Rcode, Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.presentation import data_to_text, type_of_text, type_to_text
from dnsbridge.wire.query import Query, compose, parse


class ShownObject(Struct, frozen=True, rename="camel"):
    """A Kubernetes object that an answer comes from."""

    kind: str
    namespace: str
    name: str
    resource_version: str


class ShownRecord(Struct, frozen=True):
    """A record in presentation form; `ttl` in seconds."""

    section: str
    name: str
    ttl: int
    type: str
    data: str


class ShownLink(Struct, frozen=True):
    """A link of a chain of aliases; `target` is empty for the name at its end, `source` is as in Explanation."""

    name: str
    target: str
    source: str
    cluster: str
    because: str


class Explanation(Struct, frozen=True):
    """An answer with its reasons."""

    name: str
    type: str
    rcode: str
    source: str
    """`cluster`, `coredns`, `forward` or `none`."""
    cluster: str
    """The cluster that owns the name; empty if none does."""
    because: str
    objects: list[ShownObject]
    records: list[ShownRecord]
    failed: bool
    """Whether there was no answer."""
    links: list[ShownLink]
    """The chain of aliases, in order; empty where the name itself has the answer."""


def question(name: str, rtype: str | None) -> Query | str:
    """The question for a name (or an address, for its PTR) as typed, or the problem with it."""
    try:
        packed = ip_address(name).packed
    except ValueError:
        packed = b""
    wanted = (rtype or ("PTR" if packed else "A")).upper()
    number = type_of_text(wanted)
    if not name.isprintable():
        return f"{name!a}: not printable text; use a name such as web.shop.svc.cluster.local"
    if number is None:
        return f"{wanted}: no such record type; use a mnemonic such as A, AAAA, SRV, or TYPE65"
    try:
        wire = reverse_name(packed) if packed else names.from_text(name)
    except names.BadNameError as error:
        return f"{error}; use a name such as web.shop.svc.cluster.local"
    query = parse(compose(wire, number, Class.IN, 0, opt=edns.record(dnssec_ok=False)), stream=True)
    return query if isinstance(query, Query) else f"{name}: not a question that can be asked"


class _Source(NamedTuple):
    """Who answers for a name, and why."""

    source: str
    cluster: str
    because: str
    objects: tuple[Object, ...] = ()


async def explain(parts: Parts, query: Query) -> Explanation:
    """Answer a question and say why."""
    before = {id(fallback): (fallback.asked, fallback.failed) for fallback in parts.router.clusters}
    links: list[Link] = []
    parts.router.chains.told = lambda _, link: links.append(link)
    try:
        reached = parts.router.resolve(query)
        outcome = await reached if isinstance(reached, Pending) else reached
    finally:
        parts.router.chains.told = None

    def source_of(asked: Query) -> _Source:
        found = _source(parts, asked)
        fallback = next((each for each in parts.router.clusters if each.cluster.name == found.cluster), None)
        if fallback is None or fallback.asked == before[id(fallback)][0]:
            return found
        silent = fallback.failed > before[id(fallback)][1]
        because = f"{found.because}; the cluster's CoreDNS was asked and {'gave no answer' if silent else 'answered'}"
        return found._replace(source="cluster" if silent else "coredns", because=because)

    return _explained(query, outcome, links, source_of)


def _source(parts: Parts, query: Query) -> _Source:
    """Who answers a question."""
    router = parts.router
    if owner := router.cluster_of(query.folded):
        fallback, place = owner
        name = fallback.cluster.name
        if fallback.cluster.freshness is Freshness.UNSYNCED:
            return _Source("cluster", name, "the cluster has not been read yet")
        said = fallback.cluster.lookup(query, place)
        return _Source("cluster", name, said.because, getattr(said, "origin", ()))
    if forward := router.forward_of(query.folded):
        zone = names.to_text(forward[0])
        there = parts.zones.forwards.get(zone.rstrip(".") or ".")
        servers = (
            ", ".join(map(str, there.upstreams)) if there else "no server, as none of its upstreams stands for one now"
        )
        return _Source("forward", "", f"no cluster has this name; forward zone {zone} goes to {servers}")
    return _Source("none", "", "")


def _explained(query: Query, outcome: Outcome, links: list[Link], source_of: Callable[[Query], _Source]) -> Explanation:
    source, cluster, because, objects = source_of(query)
    records: list[ShownRecord] = []
    aliases = [rrset for link in links for rrset in link.answer if rrset.rtype == Type.CNAME]
    if isinstance(outcome, Failure):
        rcode = outcome.rcode.name
        because = f"{because}; {outcome.text}" if because not in ("", outcome.text) else outcome.text
        source = "none" if outcome is Failure.NO_ROUTE else source
    else:
        octets_said = b"\0\0" + octets(outcome.body)
        message = whole_message.read(octets_said)
        if isinstance(message, whole_message.Broken):
            rcode, because = Rcode.SERVFAIL.name, f"{because}; the answer is broken: {message.problem}"
        else:
            rcode = Rcode(message.rcode).name if message.rcode in set(Rcode) else str(message.rcode)
            for section in ("answer", "authority", "additional"):
                for rrset in getattr(message, section):
                    records += shown_records(section, rrset)
            reasons = [error[6:].decode(errors="replace") for error in whole_message.extended_errors(octets_said)]
            because = "; ".join(filter(None, [because, *reasons]))
            aliases += [rrset for rrset in message.answer[len(aliases) :] if rrset.rtype == Type.CNAME]
    shown = [ShownObject(one.kind, one.namespace, one.name, one.resource_version) for one in objects]
    return Explanation(
        names.to_text(query.name),
        type_to_text(query.qtype),
        rcode,
        source,
        cluster,
        because,
        shown,
        records,
        rcode not in (Rcode.NOERROR.name, Rcode.NXDOMAIN.name),
        _shown_links(query, aliases, {link.target.lower() for link in links}, source_of),
    )


def _shown_links(
    query: Query, aliases: Sequence[RRset], asked: Container[bytes], source_of: Callable[[Query], _Source]
) -> list[ShownLink]:
    """Each alias of an answer with its source, and the name at the end.

    `asked` are the folded names at which the chain moved on to another source.
    """
    if not aliases or query.qtype in (Type.CNAME, Type.ANY):
        return []
    source = source_of(query)
    shown = []
    for position, name in enumerate([query.name, *[alias.data[0] for alias in aliases]]):
        if position and name.lower() in asked:
            source = source_of(_question(name, query.qtype))
        target = names.to_text(aliases[position].data[0]) if position < len(aliases) else ""
        shown.append(ShownLink(names.to_text(name), target, source.source, source.cluster, source.because))
    return shown


def _question(name: bytes, qtype: int) -> Query:
    query = parse(compose(name, qtype, Class.IN, 0, opt=edns.record(dnssec_ok=False)), stream=True)
    assert isinstance(query, Query)
    return query


def shown_records(section: str, rrset: RRset) -> list[ShownRecord]:
    """The records of an RRset in presentation form."""
    owner, rtype = names.to_text(rrset.owner), type_to_text(rrset.rtype)
    return [ShownRecord(section, owner, rrset.ttl, rtype, data_to_text(rrset.rtype, data)) for data in rrset.data]
