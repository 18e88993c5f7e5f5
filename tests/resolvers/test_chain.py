"""Chains over a cluster and three forward zones, each what following the names one by one gives."""

from collections.abc import Mapping, Sequence

import dns.edns
import dns.flags
import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbridge.cluster.freshness import Freshness
from dnsbridge.resolvers.chain import Link, next_question
from dnsbridge.resolvers.cluster.reach import Reach
from dnsbridge.resolvers.prepared import Prepared
from dnsbridge.resolvers.resolver import Answer
from dnsbridge.wire import name as names
from dnsbridge.wire.compose import RRset, octets
from dnsbridge.wire.constants import Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, parse
from tests.support.universe import CLUSTER, FORWARDS, Says, Truth, World, expected, read, zone_of

PLACES = (CLUSTER, "corp.", "lab.", "example.")
NAMES = [f"n{number}.{place}" for place in PLACES for number in range(4)]
ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
SAYS = st.fixed_dictionaries({zone: st.sampled_from(Says) for zone in FORWARDS})
TRUTHS = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(
        st.sampled_from(NAMES), st.sampled_from(NAMES), st.sets(st.sampled_from(ADDRESSES), min_size=1).map(sorted)
    ),
    max_size=len(NAMES),
)


def one_address(truth: Truth) -> dict[str, str | Sequence[str]]:
    """The same, where a service has one address at most, as it can have of a family."""
    return {
        name: held if isinstance(held, str) or zone_of(name) != CLUSTER else held[:1] for name, held in truth.items()
    }


@settings(max_examples=300, deadline=None)
@given(TRUTHS, SAYS, st.lists(st.sampled_from(NAMES), min_size=1, max_size=6))
def test_every_chain_is_finished(truth: Truth, says: Mapping[str, Says], asked: list[str]) -> None:
    """Whatever upstreams say of names that are not theirs, the answer is the truth, fresh and from the cache."""
    truth = one_address(truth)
    world = World(truth, says)
    for name in asked + asked:
        assert world.say(name) == expected(truth, name)


ALL_STOP = dict.fromkeys(FORWARDS, Says.STOPS)
APP: Truth = {"app.corp.": f"web.{CLUSTER}", f"web.{CLUSTER}": ["10.96.0.1"]}


def links(count: int, last: str | Sequence[str]) -> dict[str, str | Sequence[str]]:
    """Names `n0` to `n<count>` in turn in a forward zone, the cluster and another zone, each an alias of the next."""
    places = ("corp.", CLUSTER, "lab.")
    found: dict[str, str | Sequence[str]] = {
        f"n{number}.{places[number % 3]}": f"n{number + 1}.{places[(number + 1) % 3]}" for number in range(count)
    }
    found[f"n{count}.{places[count % 3]}"] = last
    return found


@pytest.mark.parametrize(
    ("truth", "name", "rcode", "why"),
    [
        pytest.param(links(10, ["192.0.2.1"]), "n0.corp.", "NOERROR", "", id="ten links"),
        pytest.param(links(11, ["192.0.2.1"]), "n0.corp.", "SERVFAIL", Failure.CHAIN.text, id="eleven links"),
        pytest.param({"a.corp.": "a.corp."}, "a.corp.", "SERVFAIL", Failure.CHAIN_LOOP.text, id="to itself"),
        pytest.param(
            {"a.corp.": "b.lab.", "b.lab.": "a.corp."},
            "a.corp.",
            "SERVFAIL",
            Failure.CHAIN_LOOP.text,
            id="between two zones",
        ),
        pytest.param(
            {"a.corp.": f"x.{CLUSTER}", f"x.{CLUSTER}": "b.lab.", "b.lab.": "a.corp."},
            "a.corp.",
            "SERVFAIL",
            Failure.CHAIN_LOOP.text,
            id="through the cluster",
        ),
        pytest.param(
            {"a.corp.": f"x.{CLUSTER}", f"x.{CLUSTER}": f"x.{CLUSTER}"},
            "a.corp.",
            "SERVFAIL",
            Failure.CHAIN_LOOP.text,
            id="into a loop of the cluster's",
        ),
        pytest.param({"a.corp.": f"none.{CLUSTER}"}, "a.corp.", "NXDOMAIN", "", id="to no name of the cluster"),
        pytest.param(
            {"a.corp.": f"x.{CLUSTER}", f"x.{CLUSTER}": "b.corp.", "b.corp.": ["192.0.2.2"]},
            "a.corp.",
            "NOERROR",
            "",
            id="through an ExternalName back to where it came from",
        ),
    ],
)
@pytest.mark.parametrize("says", Says)
def test_how_chains_end(says: Says, truth: Truth, name: str, rcode: str, why: str) -> None:
    """At most ten links and no name twice, or SERVFAIL with the reason; the RCODE is the last name's (RFC 6604)."""
    query, outcome = (world := World(truth, dict.fromkeys(FORWARDS, says))).ask(name)
    message = read(query, outcome)
    assert dns.rcode.to_text(message.rcode()) == rcode
    assert [option.text for option in message.extended_errors()] == ([why] if why else [])
    assert sum(world.router.chains.ends.values()) == (0 if name == truth[name] else 1)


@pytest.mark.parametrize("first", ["n0.corp.", f"n1.{CLUSTER}"])
def test_an_endless_chain_is_followed_no_further(first: str) -> None:
    """After the tenth link nobody is asked any more."""
    world = World(links(30, ["192.0.2.1"]), ALL_STOP)
    assert world.say(first) == ("SERVFAIL", [])
    asked = {name for upstream in world.upstreams.values() for name in upstream.asked}
    start = int(first[1])
    assert {int(name.partition(".")[0][1:]) for name in asked} == {
        number for number in range(start, start + 11) if number % 3 != 1
    }


NAME_255 = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 57, "lab."])


@pytest.mark.parametrize("rtype", ["A", "TXT", "TYPE65"])
def test_to_the_longest_name(rtype: str) -> None:
    """A name of 255 octets is one like any other."""
    assert len(names.from_text(NAME_255)) == 255
    world = World({"a.corp.": NAME_255, NAME_255: ["192.0.2.1"]}, ALL_STOP)
    query, outcome = world.ask("a.corp.", rtype)
    assert isinstance(outcome, Answer)
    message = read(query, outcome)
    assert len(message.answer) == (2 if rtype == "A" else 1)
    assert [rrset.name.to_text() for rrset in message.authority] == ([] if rtype == "A" else ["lab."])
    assert world.upstreams["lab."].asked == [NAME_255]


def test_into_a_reverse_zone() -> None:
    """A reverse name that is delegated name by name (RFC 2317) leads into the reverse zone of the cluster."""
    world = World({**APP, "1.2.0.192.in-addr.arpa.": "1.0.96.10.in-addr.arpa."}, ALL_STOP)
    world.ask("1.2.0.192.in-addr.arpa.", "PTR")
    query, outcome = world.ask("1.2.0.192.in-addr.arpa.", "PTR")
    data = [str(each) for rrset in read(query, outcome).answer for each in rrset]
    assert data == ["1.0.96.10.in-addr.arpa.", f"web.{CLUSTER}"]
    assert isinstance(outcome, Answer)
    assert outcome.depends
    assert outcome.expires


def test_an_address_without_a_route_behind_an_alias() -> None:
    """An answer with an address that no route leads to says so behind an alias too, and counts each time it is sent."""
    world = World(APP, ALL_STOP)
    world.cluster.reach = Reach([])
    world.say("app.corp.")
    prepared = Prepared()
    query, outcome = world.ask("app.corp.")
    assert isinstance(outcome, Answer)
    prepared.put(query.message[2:], outcome)
    before = world.cluster.unrouted.answers
    for sent in range(1, 4):
        found = prepared.find(query.message[2:])
        assert found is not None
        message = dns.message.from_wire(query.message[:2] + found[0])
        assert [option.text for option in message.extended_errors()] == ["no route from here to 10.96.0.1"]
        assert world.cluster.unrouted.answers == before + sent


def test_addresses_rotate_behind_an_alias() -> None:
    """A ready answer for an alias of several addresses begins with another one each time, within a second too."""
    world = World({**APP, f"web.{CLUSTER}": ["10.96.0.1", "10.96.0.2", "10.96.0.3"]}, ALL_STOP)
    world.say("app.corp.")
    prepared = Prepared()
    query, outcome = world.ask("app.corp.")
    assert isinstance(outcome, Answer)
    prepared.put(query.message[2:], outcome)
    first = []
    for step in range(6):
        world.now += step == 3
        found = prepared.find(query.message[2:])
        assert found is not None
        first.append(str(dns.message.from_wire(query.message[:2] + found[0]).answer[1][0]))
    assert len(set(first[:3])) == len(set(first[3:])) == 3


def client(message: dns.message.Message) -> Query:
    """A question over UDP."""
    query = parse(message.to_wire())
    assert isinstance(query, Query)
    return query


def test_next_question() -> None:
    """The next question is the target as the alias writes it, with the client's type, DO and CD, and the way there."""
    flags = dns.flags.RD | dns.flags.CD
    query = client(dns.message.make_query("A.corp", "SRV", want_dnssec=True, flags=flags))
    first, second = names.from_text("A.corp"), names.from_text("b.corp")
    target = names.from_text("Web.Shop.svc.cluster.local")
    link = Link((RRset(first, Type.CNAME, 9, (second,)), RRset(second, Type.CNAME, 9, (target,))))
    further = next_question(query, link)
    assert isinstance(further, Query)
    assert further.trail == (names.from_text("a.corp"), second)
    message = dns.message.from_wire(further.message)
    assert str(message.question[0]) == "Web.Shop.svc.cluster.local. IN SRV"
    assert (message.flags, message.ednsflags) == (flags, dns.flags.DO)


def test_flags_of_a_join() -> None:
    """AA is of the first owner (RFC 1035 section 4.1.1); AD never survives; RD and CD are the client's."""
    world = World({**APP, f"out.{CLUSTER}": "www.corp.", "www.corp.": ["192.0.2.1"]}, ALL_STOP)
    for name, authoritative in (("app.corp.", False), (f"out.{CLUSTER}", True)):
        flags = dns.flags.RD | dns.flags.AD | dns.flags.CD
        query = client(dns.message.make_query(name, "A", flags=flags))
        outcome = world.router.resolve(query)
        assert isinstance(outcome, Answer)
        message = read(query, outcome)
        assert bool(message.flags & dns.flags.AA) is authoritative
        assert message.flags & (dns.flags.AD | dns.flags.RD | dns.flags.CD) == dns.flags.RD | dns.flags.CD


def test_the_cluster_changes_behind_an_alias() -> None:
    """The corporate half comes from the cache and counts down; the cluster's is what it is now, without a question."""
    world = World(APP, ALL_STOP)
    assert world.say("app.corp.") == (
        "NOERROR",
        [("app.corp.", f"web.{CLUSTER}", 60), (f"web.{CLUSTER}", "10.96.0.1", 5)],
    )
    world.now += 20
    world.change(f"web.{CLUSTER}", ["10.96.0.2"])
    assert world.say("app.corp.") == (
        "NOERROR",
        [("app.corp.", f"web.{CLUSTER}", 40), (f"web.{CLUSTER}", "10.96.0.2", 5)],
    )
    world.change(f"web.{CLUSTER}", None)
    assert world.say("app.corp.") == ("NXDOMAIN", [("app.corp.", f"web.{CLUSTER}", 40)])
    assert world.upstreams["corp."].asked == ["app.corp."]
    world.now += 40
    world.say("app.corp.")
    assert world.upstreams["corp."].asked == ["app.corp."] * 2


def test_a_prepared_join() -> None:
    """A ready answer counts its forwarded half down; a change of the cluster drops it, and so does the half's end."""
    world = World({**APP, f"db.{CLUSTER}": ["10.96.0.9"]}, ALL_STOP)
    prepared = Prepared()
    world.say("app.corp.")
    for change, expected_left in ((f"db.{CLUSTER}", True), (f"web.{CLUSTER}", False)):
        query, outcome = world.ask("app.corp.")
        assert isinstance(outcome, Answer)
        assert outcome.expires == 1000 + 60
        question = query.message[2:]
        prepared.put(question, outcome)
        for second in (world.now + 1, world.now + 2):
            world.now = second
            prepared.expire(second)
            found = prepared.find(question)
            assert found is not None
            message = dns.message.from_wire(query.message[:2] + found[0])
            assert [rrset.ttl for rrset in message.answer] == [1060 - second, 5]
        prepared.drop("dev", world.change(change, ["10.96.0.7"]))
        assert (prepared.find(question) is not None) is expected_left
    query, outcome = world.ask("app.corp.")
    assert isinstance(outcome, Answer)
    prepared.put(query.message[2:], outcome)
    prepared.expire(1059)
    assert prepared.find(query.message[2:]) is not None
    prepared.expire(1060)
    assert prepared.find(query.message[2:]) is None


@pytest.mark.parametrize(
    ("freshness", "rcode", "codes", "kept"),
    [
        (Freshness.FRESH, "NOERROR", [], True),
        (Freshness.STALE, "NOERROR", [dns.edns.EDECode.STALE_ANSWER], False),
        (Freshness.UNSYNCED, "SERVFAIL", [dns.edns.EDECode.NOT_READY], False),
    ],
)
@pytest.mark.parametrize("name", ["app.corp.", "none.corp."])
def test_how_far_the_cluster_can_be_trusted(
    freshness: Freshness, rcode: str, codes: list[dns.edns.EDECode], kept: bool, name: str
) -> None:
    """An alias into a cluster that is stale says so; into one that was never read it is SERVFAIL, never NXDOMAIN."""
    world = World({**APP, "none.corp.": f"none.{CLUSTER}"}, ALL_STOP)
    world.cluster.freshness = freshness
    for known in (False, True):
        query, outcome = world.ask(name)
        message = read(query, outcome)
        wanted = "NXDOMAIN" if (name, rcode) == ("none.corp.", "NOERROR") else rcode
        assert dns.rcode.to_text(message.rcode()) == wanted
        assert [option.code for option in message.extended_errors()] == codes
        if isinstance(outcome, Answer):
            assert bool(outcome.expires and outcome.depends) is (known and kept)


def test_an_answer_that_becomes_an_alias() -> None:
    """What is ready of an answer stays as it was, to its end, when its name has become an alias into the cluster."""
    truth: dict[str, str | Sequence[str]] = {"app.corp.": ["192.0.2.1"], f"web.{CLUSTER}": ["10.96.0.1"]}
    world = World(truth, ALL_STOP, prefetch=True)
    world.say("app.corp.")
    query, outcome = world.ask("app.corp.")
    assert isinstance(outcome, Answer)
    truth["app.corp."] = f"web.{CLUSTER}"
    world.now += 59
    world.say("app.corp.")
    assert world.upstreams["corp."].asked == ["app.corp."] * 2, "fetched anew before it ends"
    assert world.say("app.corp.")[1][-1] == (f"web.{CLUSTER}", "10.96.0.1", 5)
    message = dns.message.from_wire(query.message[:2] + octets(outcome.body))
    assert [str(rrset) for rrset in message.answer] == ["app.corp. 1 IN A 192.0.2.1"]
