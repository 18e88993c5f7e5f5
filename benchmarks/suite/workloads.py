"""The workloads of the suite, as data: what is asked, who can answer it, and how dnsperf asks.

A workload makes its questions from the cluster, a number and a count. One whose questions are all asked once (`once`)
is given another number for every round, and makes that many questions that no other number gives.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from benchmarks.parts.forwarders import WILDCARD, outside
from benchmarks.parts.names import NAMESPACES, ZONE, Name
from benchmarks.suite.data import PORT, Data, reverse, srv_owner
from benchmarks.suite.questions import Question, message, random_case
from benchmarks.suite.servers import CLUSTER, FORWARD

COLD_NAMES = 20_000
"""Of a round of cold names."""
SET = 10_000
"""Names of a set that is asked over and over."""
_COOKIE_OCTETS = 8

Ask = Callable[[Data, int, int], Sequence[Question]]
"""From the cluster, the number of the round and the count of questions."""


class Workload(Struct, frozen=True):
    """One kind of load."""

    name: str
    what: str
    """In a line, for the report."""
    ask: Ask
    needs: frozenset[str] = frozenset({CLUSTER})
    once: bool = False
    """Every question is asked once."""
    cold: bool = False
    """On a cluster of its own, with names for every round."""
    latency: bool = True
    codes: tuple[str, ...] = ("NOERROR",)
    options: tuple[str, ...] = ()
    """Of dnsperf."""
    tcp: bool = False
    connecting: bool = False
    """One question per connection, see benchmarks.suite.connecting."""


def _hot(held: Data, _: int, __: int) -> list[Question]:
    return [_address(name) for name in held.services]


def _address(name: Name, edns: bool = False, cookie: bytes = b"") -> Question:
    return Question(message(name.owner, "A", edns, cookie), frozenset({str(name.address)}))


def _edns(held: Data, _: int, __: int) -> list[Question]:
    return [_address(name, edns=True) for name in held.services]


def _mixed_case(held: Data, number: int, count: int) -> list[Question]:
    chance = random.Random(number)
    hot = _hot(held, 0, 0)
    return [one._replace(message=random_case(one.message, chance)) for one in _cycle(hot, count)]


def _cookies(held: Data, number: int, count: int) -> list[Question]:
    chance = random.Random(number)
    # The cookie comes last, so a message with a new one is the old one with another end.
    hot = [_address(name, edns=True, cookie=bytes(_COOKIE_OCTETS)) for name in held.services]
    return [
        one._replace(message=one.message[:-_COOKIE_OCTETS] + chance.randbytes(_COOKIE_OCTETS))
        for one in _cycle(hot, count)
    ]


def _cycle(questions: Sequence[Question], count: int) -> Iterator[Question]:
    return (questions[number % len(questions)] for number in range(count))


def _no_data(held: Data, _: int, __: int) -> list[Question]:
    return [Question(message(name.owner, "AAAA")) for name in held.services]


def _search(_: Data, __: int, ___: int) -> list[Question]:
    owners = (f"www.site-{number:05d}.example.com.team-{number % NAMESPACES}.svc.{ZONE}" for number in range(SET))
    return [Question(message(owner, "A"), rcode="NXDOMAIN") for owner in owners]


def _headless(held: Data, _: int, __: int) -> list[Question]:
    # 50 addresses are too long for 512 octets.
    return [
        Question(message(pool.owner, "A", edns=True), frozenset(map(str, pool.addresses))) for pool in held.headless
    ]


def _srv(held: Data, _: int, __: int) -> list[Question]:
    return [
        Question(message(srv_owner(name), "SRV"), frozenset({f"0 100 {PORT} {name.owner}"})) for name in held.services
    ]


def _ptr(held: Data, _: int, __: int) -> list[Question]:
    return [Question(message(reverse(name.address), "PTR"), frozenset({name.owner})) for name in held.services]


def _cold(held: Data, number: int, _: int) -> list[Question]:
    return [_address(name) for name in held.services[number * COLD_NAMES : (number + 1) * COLD_NAMES]]


def _forwarded(prefix: str, count: int) -> list[Question]:
    return [Question(message(name.owner, "A"), frozenset({str(WILDCARD)})) for name in outside(prefix, count)]


def _cached(_: Data, __: int, ___: int) -> list[Question]:
    return _forwarded("set", SET)


def _new(_: Data, number: int, count: int) -> list[Question]:
    return _forwarded(f"new-{number}", count)


class Part(NamedTuple):
    """A part of the office mix."""

    percent: int
    what: str
    ask: Ask
    once: bool = False
    """Each question is another one; otherwise few of them are asked often."""


def _office_new(_: Data, number: int, count: int) -> list[Question]:
    return _forwarded(f"office-{number}", count)


OFFICE: tuple[Part, ...] = (
    Part(28, "forwarded, cached", _cached),
    Part(4, "forwarded, new", _office_new, once=True),
    Part(22, "cluster names", _hot),
    Part(6, "cluster names with EDNS", _edns),
    Part(10, "cluster names with a fresh cookie", _cookies, once=True),
    Part(4, "cluster names in random case", _mixed_case, once=True),
    Part(10, "AAAA without data", _no_data),
    Part(11, "search-list expansions", _search),
    Part(2, "headless, 50 endpoints", _headless),
    Part(1, "SRV", _srv),
    Part(2, "PTR", _ptr),
)
"""How the office mix is composed. Half of the questions for a set go to an eighth of its names."""


def _office(held: Data, number: int, count: int) -> list[Question]:
    chance = random.Random(number)
    found: list[Question] = []
    for part in OFFICE:
        wanted = count * part.percent // 100
        questions = part.ask(held, number, wanted)
        if part.once:
            found.extend(questions)
        else:
            # The cube of an even chance is below an eighth half of the time.
            found.extend(questions[int(len(questions) * chance.random() ** 3)] for _ in range(wanted))
    chance.shuffle(found)
    return found


_FORWARDED = frozenset({FORWARD})
_OFFICE = frozenset({CLUSTER, FORWARD})
_TCP = ("-m", "tcp")
HOT = "hot"
WORKLOADS: tuple[Workload, ...] = (
    Workload(HOT, "10,000 cluster names, over and over", _hot),
    Workload("case", "the same, each time in another random case", _mixed_case, once=True),
    Workload("edns", "the same, with EDNS", _edns),
    Workload("cookies", "the same, each time with a fresh DNS cookie, as dig sends it", _cookies, once=True),
    Workload("nodata", "AAAA of names that have only A", _no_data),
    Workload("search", "search-list expansions: NXDOMAIN", _search, codes=("NXDOMAIN",)),
    Workload("headless", "headless services with 50 endpoints, turned round", _headless),
    Workload("srv", "SRV of a service's port", _srv),
    Workload("ptr", "PTR of a ClusterIP", _ptr),
    Workload("tcp", "cluster names over eight TCP connections, pipelined", _hot, latency=False, options=_TCP, tcp=True),
    Workload(
        "tcp-one",
        "cluster names over TCP, one question per connection",
        _hot,
        latency=False,
        tcp=True,
        connecting=True,
    ),
    Workload("cached", "10,000 forwarded names, over and over", _cached, _FORWARDED),
    Workload("new", "forwarded names, each asked once", _new, _FORWARDED, once=True),
    Workload("office", "an office's mix of the above", _office, _OFFICE, once=True, codes=("NOERROR", "NXDOMAIN")),
    Workload("cold", "cluster names, each asked once", _cold, once=True, cold=True, latency=False),
)
CHANGES = "changes"
"""The workload that the API server is needed for: see changing."""
NAMES = (*(workload.name for workload in WORKLOADS), CHANGES)
