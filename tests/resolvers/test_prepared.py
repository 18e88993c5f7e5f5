"""The table of prepared answers: who is let in, who is dropped, who makes room."""

from random import Random

import pytest

from dnsbridge.resolvers.prepared import EXPIRED_AT_ONCE, Prepared
from dnsbridge.resolvers.resolver import Answer
from dnsbridge.wire.compose import weight
from dnsbridge.zone.index import EVERYTHING, REVERSE_TREE
from tests.support.preparing import offer

WEB, DB, PORT = b"\x03web\x04shop\x03svc", b"\x02db\x04shop\x03svc", b"\x05_http\x04_tcp\x03web\x04shop\x03svc"


def prepare(prepared: Prepared, question: bytes, *depends: bytes, cluster: str = "dev", body: bytes = b"body") -> None:
    """Offer an answer as often as it takes."""
    for _ in range(2):
        offer(prepared, question, Answer(body, depends, cluster))


def test_second_sight() -> None:
    """A question gets a prepared answer when it comes a second time, and not before."""
    prepared = Prepared()
    offer(prepared, b"q", Answer(b"one", (WEB,), "dev"))
    assert prepared.answers == {}
    offer(prepared, b"other", Answer(b"one", (WEB,), "dev"))
    assert prepared.answers == {}
    offer(prepared, b"q", Answer(b"two", (WEB,), "dev"))
    assert prepared.answers == {b"q": b"two"}


def test_without_keys_nothing_is_kept() -> None:
    """An answer that depends on no key (forwarded, or from a stale cache) could never be dropped."""
    prepared = Prepared()
    prepare(prepared, b"q")
    assert prepared.answers == {}


@pytest.mark.parametrize(
    ("cluster", "keys", "left"),
    [
        ("dev", [WEB], {b"db", b"arpa", b"foreign"}),
        ("dev", [DB], {b"web", b"port", b"arpa", b"foreign"}),
        ("dev", [PORT], {b"web", b"db", b"arpa", b"foreign"}),
        ("dev", [PORT, DB, b"\x04none"], {b"web", b"arpa", b"foreign"}),
        ("dev", [REVERSE_TREE], {b"web", b"port", b"db", b"foreign"}),
        ("dev", [b"\x03WEB\x04shop\x03svc"], {b"web", b"port", b"db", b"arpa", b"foreign"}),
        ("dev", [], {b"web", b"port", b"db", b"arpa", b"foreign"}),
        ("dev", [EVERYTHING], {b"foreign"}),
        ("dev", [WEB, EVERYTHING, DB], {b"foreign"}),
        ("prod", [WEB], {b"web", b"port", b"db", b"arpa"}),
        ("prod", [EVERYTHING], {b"web", b"port", b"db", b"arpa"}),
        ("none", [WEB, EVERYTHING], {b"web", b"port", b"db", b"arpa", b"foreign"}),
    ],
)
def test_drop(cluster: str, keys: list[bytes], left: set[bytes]) -> None:
    """A key drops the answers of its cluster that depend on it, and no others; EVERYTHING all of the cluster's."""
    prepared = Prepared()
    prepare(prepared, b"web", WEB)
    prepare(prepared, b"port", PORT, WEB)
    prepare(prepared, b"db", DB)
    prepare(prepared, b"arpa", b"\x0210\x07in-addr\x04arpa\x00", REVERSE_TREE)
    prepare(prepared, b"foreign", WEB, cluster="prod")
    prepared.drop(cluster, keys)
    assert set(prepared.answers) == left
    assert prepared.dropped == 5 - len(left)


def test_dropped_comes_back() -> None:
    """What was dropped is prepared again the next time it is asked: it has been seen."""
    prepared = Prepared()
    prepare(prepared, b"q", WEB, body=b"old")
    prepared.drop("dev", [WEB])
    offer(prepared, b"q", Answer(b"new", (DB,), "dev"))
    assert prepared.answers == {b"q": b"new"}
    prepared.drop("dev", [WEB])
    assert prepared.answers == {b"q": b"new"}
    prepared.drop("dev", [DB])
    assert prepared.answers == {}


def test_offered_again_with_other_keys() -> None:
    """Two answers to one question that were both on their way: the second counts, by its own keys."""
    prepared = Prepared(max_answers=2)
    prepare(prepared, b"other", DB)
    prepare(prepared, b"q", WEB, body=b"old")
    offer(prepared, b"q", Answer(b"new", (PORT,), "dev"))
    assert prepared.answers == {b"other": b"body", b"q": b"new"}
    assert prepared.evicted == 0
    prepared.drop("dev", [WEB])
    assert prepared.answers[b"q"] == b"new"
    prepared.drop("dev", [PORT])
    assert set(prepared.answers) == {b"other"}


def test_oldest_makes_room() -> None:
    """At the bound the oldest answer goes, is counted, and leaves no key behind."""
    prepared = Prepared(max_answers=3)
    for question in (b"1", b"2", b"3", b"4", b"5"):
        prepare(prepared, question, WEB)
    assert list(prepared.answers) == [b"3", b"4", b"5"]
    assert (prepared.evicted, prepared.dropped) == (2, 0)
    prepared.drop("dev", [WEB])
    assert (prepared.answers, prepared.dropped) == ({}, 3)


def test_questions_that_never_come_back() -> None:
    """New questions, however many, push no prepared answer out, and what is remembered is bounded."""
    prepared = Prepared(max_answers=10, max_seen=100)
    prepare(prepared, b"popular", WEB)
    for number in range(5000):
        offer(prepared, b"random-%d" % number, Answer(b"body", (WEB,), "dev"))
        assert len(prepared._seen) <= 100
    assert list(prepared.answers) == [b"popular"]


def test_bounds_hold_under_anything() -> None:
    """Random offers and drops: the tables stay within their bounds and agree with each other."""
    random, prepared = Random(7), Prepared(max_answers=8, max_seen=30)
    keys = [WEB, DB, PORT, REVERSE_TREE]
    for _ in range(5000):
        if random.random() < 0.9:
            depends = tuple(random.sample(keys, random.randint(0, 3)))
            expires = random.choice((0, 0, random.randrange(1, 50)))
            answer = Answer(b"body", depends, random.choice(("dev", "prod")), expires)
            offer(prepared, b"%d" % random.randrange(20), answer)
        elif random.random() < 0.3:
            prepared.expire(random.randrange(50))
        else:
            prepared.drop(random.choice(("dev", "prod")), random.sample([*keys, EVERYTHING], 1))
        assert len(prepared.answers) <= 8
        assert len(prepared._seen) <= 30
        assert prepared.answers.keys() == prepared._depends.keys() | prepared._expires.keys()
        expiring = {question: second for second, held in prepared._expiring.items() for question in held}
        assert expiring == prepared._expires
        held = {(key, question) for question, depends in prepared._depends.items() for key in depends}
        assert held == {(key, question) for key, questions in prepared._questions.items() for question in questions}
    prepared.drop_cluster("dev")
    prepared.drop_cluster("prod")
    assert not prepared.expire(50)
    assert (prepared.answers, prepared._depends, prepared._questions) == ({}, {}, {})


def test_expire() -> None:
    """A forwarded answer goes in its second, one that was offered anew in its own; so many at a time."""
    prepared = Prepared()
    for number in range(EXPIRED_AT_ONCE + 1):
        for _ in range(2):
            offer(prepared, b"%d" % number, Answer(b"body", expires=7))
    offer(prepared, b"0", Answer(b"body", expires=9))
    prepare(prepared, b"cluster", WEB)
    assert not prepared.expire(6)
    assert len(prepared.answers) == EXPIRED_AT_ONCE + 2
    assert prepared.expire(7)
    assert not prepared.expire(7)
    assert set(prepared.answers) == {b"0", b"cluster"}
    offer(prepared, b"1", Answer(b"body", expires=9))
    prepared.drop_expiring()
    assert (set(prepared.answers), prepared._expiring) == ({b"cluster"}, {})


class Counting:
    """A body that is another each time."""

    def __init__(self) -> None:
        self.given = 0
        self.weight = 4

    def octets(self) -> bytes:
        """See Varying."""
        self.given += 1
        return b"%04d" % self.given


def ask(prepared: Prepared, question: bytes) -> bytes:
    """What the hot path sends."""
    body = prepared.answers[question]
    return body if isinstance(body, bytes) else prepared.octets_of(question, body)


def test_a_forwarded_answer_is_made_once_a_second() -> None:
    """And a cluster's that rotates each time it is asked for; what was dropped meanwhile does not come back."""
    prepared = Prepared()
    prepared.expire(1)
    for _ in range(2):
        offer(prepared, b"forwarded", Answer(Counting(), expires=9))
        offer(prepared, b"dropped", Answer(Counting(), expires=9))
        offer(prepared, b"rotating", Answer(Counting(), (WEB,), "dev"))
    for second in (1, 2, 3):
        prepared.expire(second)
        assert [ask(prepared, b"forwarded") for _ in range(3)] == [b"%04d" % second] * 3
    assert [ask(prepared, b"rotating") for _ in range(3)] == [b"0001", b"0002", b"0003"]
    assert ask(prepared, b"dropped") == b"0001"
    prepared.drop_expiring()
    assert not prepared.expire(4)
    assert set(prepared.answers) == {b"rotating"}


def test_many_answers_of_a_second() -> None:
    """Those of the next second are made ready so many at a time."""
    prepared = Prepared()
    prepared.expire(1)
    for number in range(EXPIRED_AT_ONCE + 1):
        for _ in range(2):
            offer(prepared, b"%d" % number, Answer(Counting(), expires=9))
        ask(prepared, b"%d" % number)
    assert prepared.expire(2)
    assert not prepared.expire(2)
    assert {ask(prepared, b"%d" % number) for number in range(EXPIRED_AT_ONCE + 1)} == {b"0002"}


def test_octets_are_bounded() -> None:
    """Large answers push out the oldest by their size; what is held is counted right through every kind of change."""
    random, prepared = Random(3), Prepared(max_octets=1000)
    for number in range(500):
        body = random.randbytes(random.randrange(1, 200))
        prepare(prepared, b"%d" % random.randrange(60), random.choice([WEB, DB]), body=body)
        if number % 50 == 49:
            prepared.drop("dev", [random.choice([WEB, DB])])
        held = sum(len(question) + weight(body) for question, body in prepared.answers.items())
        assert prepared.octets == held <= 1000
    assert prepared.evicted > 100
    prepared.drop_cluster("dev")
    assert (prepared.octets, prepared.answers) == (0, {})
