"""What would be answered to a question, and why: the same parts that serve it, asked once, and made to say more."""

from ipaddress import ip_address

from msgspec import Struct

from dnsbridge.app.parts import Parts
from dnsbridge.cluster.objects import Object
from dnsbridge.resolvers.cluster import Freshness
from dnsbridge.resolvers.fallback import Fallback
from dnsbridge.resolvers.resolver import Outcome, Pending
from dnsbridge.wire import edns, walk
from dnsbridge.wire import name as names
from dnsbridge.wire.compose import RRset, octets
from dnsbridge.wire.constants import Class, Rcode, Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, compose, parse
from dnsbridge.zone.addresses import reverse_name
from dnsbridge.zone.master import data_to_text, type_to_text


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


class Explanation(Struct, frozen=True):
    """An answer with its reasons."""

    name: str
    type: str
    rcode: str
    source: str
    """`cluster`, `coredns`, `forward` or `none`."""
    cluster: str
    """Name of the cluster that owns the name; empty for others."""
    because: str
    objects: list[ShownObject]
    records: list[ShownRecord]
    failed: bool
    """Whether no answer could be had."""


def question(name: str, rtype: str | None) -> Query | str:
    """The question for a name (or an address, for its PTR) as typed, or what is wrong with it."""
    try:
        packed = ip_address(name).packed
    except ValueError:
        packed = b""
    wanted = (rtype or ("PTR" if packed else "A")).upper()
    number = _type_number(wanted)
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


def _type_number(text: str) -> int | None:
    if text in Type.__members__:
        return int(Type[text])
    digits = text.removeprefix("TYPE")
    if digits != text and digits.isascii() and digits.isdigit() and int(digits) < 0x10000:
        return int(digits)
    return None


async def explain(parts: Parts, query: Query) -> Explanation:
    """Answer a question and say why."""
    router = parts.router
    owner = router.cluster_of(query.folded)
    source, cluster, because = "none", "", ""
    objects: tuple[Object, ...] = ()
    asked = failed = 0
    fallback: Fallback | None = None
    if owner:
        fallback, place = owner
        source, cluster = "cluster", fallback.cluster.name
        asked, failed = fallback.asked, fallback.failed
        if fallback.cluster.freshness is Freshness.UNSYNCED:
            because = "the cluster has not been read yet"
        else:
            said = fallback.cluster.lookup(query, place)
            because, objects = said.because, getattr(said, "origin", ())
    elif forward := router.forward_of(query.folded):
        source = "forward"
        zone = names.to_text(forward[0])
        there = parts.zones.forwards.get(zone.rstrip(".") or ".")
        servers = (
            ", ".join(map(str, there.upstreams)) if there else "no server, as none of its upstreams stands for one now"
        )
        because = f"no cluster has this name; forward zone {zone} goes to {servers}"
    reached = router.resolve(query)
    outcome = await reached if isinstance(reached, Pending) else reached
    if fallback and fallback.asked > asked:
        silent = fallback.failed > failed
        source = source if silent else "coredns"
        because += "; the cluster's CoreDNS was asked and " + ("gave no answer" if silent else "answered")
    return _explained(query, outcome, source, cluster, because, objects)


def _explained(
    query: Query, outcome: Outcome, source: str, cluster: str, because: str, objects: tuple[Object, ...]
) -> Explanation:
    records: list[ShownRecord] = []
    if isinstance(outcome, Failure):
        rcode = outcome.rcode.name
        because = f"{because}; {outcome.text}" if because not in ("", outcome.text) else outcome.text
        source = "none" if outcome is Failure.NO_ROUTE else source
    else:
        message = walk.read(b"\0\0" + octets(outcome.body))
        if isinstance(message, walk.Broken):
            rcode, because = Rcode.SERVFAIL.name, f"{because}; the answer is broken: {message.problem}"
        else:
            rcode = Rcode(message.rcode).name if message.rcode in set(Rcode) else str(message.rcode)
            for section in ("answer", "authority", "additional"):
                for rrset in getattr(message, section):
                    records += shown_records(section, rrset)
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
    )


def shown_records(section: str, rrset: RRset) -> list[ShownRecord]:
    """The records of a set in presentation form."""
    owner, rtype = names.to_text(rrset.owner), type_to_text(rrset.rtype)
    return [ShownRecord(section, owner, rrset.ttl, rtype, data_to_text(rrset.rtype, data)) for data in rrset.data]
