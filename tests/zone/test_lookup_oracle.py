"""Ten thousand questions to generated clusters: answers equal what a naive model packs with dnspython."""

from collections import Counter
from ipaddress import ip_address
from random import Random

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from dnsbridge.cluster.changes import Put
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.resolvers.cluster.fallback import Fallback, OwnQuestions
from dnsbridge.resolvers.cluster.names import Cluster
from dnsbridge.resolvers.resolver import Answer
from dnsbridge.resolvers.router import Router
from dnsbridge.wire import name as names
from dnsbridge.wire.addresses import networks_of
from dnsbridge.wire.compose import failure, octets
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, parse
from dnsbridge.zone.index import Index
from dnsbridge.zone.lookup import ZoneSettings
from dnsbridge.zone.reverse import Prefixes
from tests.support.oracle import Model
from tests.support.properties import times
from tests.support.random_cluster import Maker, RandomCluster

ZONE = "cluster.local."
ALIAS = "dev.k8s.corp."
SERIAL = 1_700_000_000
PARTS = times(4)
CLUSTERS = 20
QUESTIONS = 50
"""Of each cluster; in all PARTS * CLUSTERS * QUESTIONS."""
TYPES = (
    "A",
    "A",
    "A",
    "AAAA",
    "AAAA",
    "SRV",
    "SRV",
    "PTR",
    "CNAME",
    "TXT",
    "SOA",
    "NS",
    "ANY",
    "MX",
    "HINFO",
    "TYPE65",
)
ADDRESSES = (
    *("10.233.63.9", "10.233.64.9", "10.96.0.1", "10.111.1.1", "10.112.0.1", "10.244.0.1", "10.0.0.63", "10.0.0.64"),
    *("8.8.8.8", "fd00:96::1", "fd00:96::1:0:0", "fd00:96::4001", "fd00:244::1", "fd00:244:0:4::1", "::1"),
)
KINDS = {"data": 150, "chain": 15, "NOERROR": 100, "NXDOMAIN": 100, "not ours": 50}
"""The least number of each kind of answer in a part, however it was drawn."""

Record = tuple[str, int, int, str]


def router_of(made: RandomCluster) -> Router:
    """The package's answer to the same cluster."""
    index = Index(made.pod_names)
    index.apply([Put(obj) for obj in made.objects.values()], SERIAL)
    settings = ZoneSettings(made.ttl, made.negative_ttl, made.pods, made.ns_addresses)
    prefixes = Prefixes(
        None if made.service_cidrs is None else networks_of(made.service_cidrs),
        None if made.pod_cidrs is None else networks_of(made.pod_cidrs),
    )
    cluster = Cluster("dev", names.from_text(ZONE), (names.from_text(ALIAS),), settings, prefixes, index)
    cluster.freshness = Freshness.FRESH
    return Router([Fallback(cluster, "never", lambda: None, OwnQuestions())], {}, OwnQuestions())


def invented(suffix: str) -> list[str]:
    """Names below a suffix that may exist or not."""
    found = [f"{label}.{suffix}" for label in ("nothing", "dns", "svc.svc", "x.dns-version", "ns1.dns", "svc.web")]
    for namespace in ("data", "shop", "none"):
        found += [f"web.{namespace}.svc.{suffix}", f"_http._tcp.db.{namespace}.svc.{suffix}"]
        labels = ("10-244-0-1", "fd00-244--1", "0--1", "1-2-3", "010-1-1-1", "10-0-0-256", "fd00-244-0-0-0-0-0-1")
        found += [f"{label}.{namespace}.pod.{suffix}" for label in labels]
    return found


def drawn_names(random: Random, model: Model) -> list[str]:
    """Names with records, names without, reverse names, and names that could be."""
    forward = [name.to_text() for records in model.zones.values() for name in records]
    aliases = [name.to_text() for zone in model.zones.values() for name, records in zone.items() if "CNAME" in records]
    pointers = [name.to_text() for name in model.pointers]
    apexes = [name.to_text() for name in sorted(model.apexes)]
    above = [name.to_text() for name in sorted(model.existing) if len(name) > 1]
    other = [ip_address(address).reverse_pointer + "." for address in ADDRESSES]
    other += [name for suffix in model.suffixes for name in invented(suffix)]
    groups = [group for group in (forward, forward, forward, aliases, pointers, apexes, above, other) if group]
    return [random.choice(random.choice(groups)) for _ in range(QUESTIONS)]


def drawn_type(random: Random, model: Model, name: str) -> str:
    """A type, mostly one that the name has."""
    asked = dns.name.from_text(name)
    suffix, _ = model.owner_of(asked)
    held = list(model.node(asked, suffix)) if suffix else []
    return random.choice([*TYPES, *held * 10])


def near(random: Random, name: str) -> str:
    """The name, or one a step away: a label more or less, a letter changed, another suffix."""
    labels = name.split(".")
    match random.randrange(9):
        case 0:
            return ".".join(labels[1:]) or "."
        case 1:
            return random.choice(("x.", "_tcp.", "_http.", "1.", "f.", "07.", "256.")) + name
        case 2 if labels[0]:
            at = random.randrange(len(labels[0]))
            return labels[0][:at] + random.choice("abx019-") + name[at + 1 :]
        case 3:
            at = random.randrange(len(labels) - 1)
            return ".".join(labels[:at] + labels[at + 1 :]) or "."
        case 4 if name.endswith(ZONE):
            return name.removesuffix(ZONE) + ALIAS
        case _:
            return name


def mixed_case(random: Random, name: str) -> str:
    """The name with some letters in upper case."""
    return "".join(letter.upper() if random.random() < 0.4 else letter for letter in name)


def records(section: list[dns.rrset.RRset]) -> Counter[Record]:
    """A section as a multiset of records; names in them without regard to case."""
    return Counter(
        (rrset.name.canonicalize().to_text(), rrset.rdtype, rrset.ttl, data.to_digestable().hex())
        for rrset in section
        for data in rrset
    )


def announced(wire: bytes) -> list[int]:
    """The counts of the header."""
    return [int.from_bytes(wire[at : at + 2], "big") for at in (4, 6, 8, 10)]


def check(router: Router, model: Model, question: dns.message.Message) -> str:
    """Compare one answer; returns what kind it was."""
    query = parse(question.to_wire())
    assert isinstance(query, Query)
    got = router.resolve(query)
    expected = model.expected(question)
    if expected is None:
        assert got is Failure.NO_ROUTE
        return "not ours"
    assert isinstance(got, Answer | Failure)
    wire = query.message[:2] + (failure(query, got) if isinstance(got, Failure) else octets(got.body))
    ours, theirs = dns.message.from_wire(wire), dns.message.from_wire(expected.to_wire())
    assert wire[12 : query.question_end] == query.question, "the question as asked"
    assert dns.rcode.to_text(ours.rcode()) == dns.rcode.to_text(theirs.rcode())
    assert dns.flags.to_text(ours.flags) == dns.flags.to_text(theirs.flags)
    assert (ours.edns, ours.payload) == (0, 1232)
    for mine, wanted in zip(ours.sections[1:], theirs.sections[1:], strict=True):
        assert records(mine) == records(wanted)
    # dnspython merges equal records when it reads; the counts show whether any was there twice.
    assert announced(wire)[1:3] == announced(expected.to_wire())[1:3]
    asked = question.question[0].name
    for rrset in ours.answer:
        assert rrset.name != asked or rrset.name.labels == asked.labels, "the owner as asked"
    if ours.answer:
        return "chain" if len(ours.answer) > 1 or ours.answer[0].rdtype == dns.rdatatype.CNAME else "data"
    return dns.rcode.to_text(ours.rcode())


@pytest.mark.parametrize("part", range(PARTS))
def test_answers_equal_the_models(part: int) -> None:
    """RCODE, flags and every record of every section are the model's; each kind of answer occurs."""
    seen: Counter[str] = Counter()
    for number in range(CLUSTERS):
        seed = part * CLUSTERS + number
        random = Random(seed)
        made = Maker(random).cluster()
        router, model = router_of(made), Model(made, ZONE, (ALIAS,), SERIAL)
        for name in drawn_names(random, model):
            asked = mixed_case(random, near(random, name))
            rtype = drawn_type(random, model, asked)
            question = dns.message.make_query(asked, rtype, use_edns=0, payload=65535)
            try:
                seen[check(router, model, question)] += 1
            except AssertionError as error:
                error.add_note(f"seed {seed}: {asked} {rtype}\n{model.expected(question)}")
                raise
    assert seen.total() == CLUSTERS * QUESTIONS
    assert all(seen[kind] >= least for kind, least in KINDS.items()), seen
