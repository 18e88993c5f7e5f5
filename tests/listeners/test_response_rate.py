"""Response rate limiting: what counts as equal, what becomes of what is over the rate, how much is remembered."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.listeners.access import packed
from dnsbridge.listeners.response_rate import Response, ResponseRate, truncated

WORDS = {Response.SENT: "sent", Response.TRUNCATED: "tc", Response.DROPPED: "-"}


def body(said: str) -> bytes:
    """`"NAME TYPE"` as an answer with one record, `"NAME TYPE RCODE"` as one without, after the ID; by dnspython."""
    name, rtype, *rcode = said.split()
    response = dns.message.make_response(dns.message.make_query(name, rtype), recursion_available=True)
    if rcode:
        response.set_rcode(dns.rcode.from_text(rcode[0]))
    else:
        data = {"A": "192.0.2.1", "TXT": '"text"'}[rtype]
        response.answer.append(dns.rrset.from_text(response.question[0].name, 5, "IN", rtype, data))
    return response.to_wire()[2:]


A = "www.example.com A"
THIRD = ("sent", "sent", "tc")
RATE_2 = [
    ("within the rate", [(0, "192.0.2.1", A, "sent"), (0, "192.0.2.1", A, "sent")]),
    (
        "over it every other one is truncated",
        [(0, "192.0.2.1", A, word) for word in ("sent", "sent", "tc", "-", "tc", "-", "tc")],
    ),
    (
        "half a second makes room for one",
        [(0, "192.0.2.1", A, "sent")] * 2 + [(0.5, "192.0.2.1", A, "sent"), (0.5, "192.0.2.1", A, "tc")],
    ),
    (
        "a long silence for no more than a second does",
        [(0, "192.0.2.1", A, "sent")] * 2 + [(99, "192.0.2.1", A, word) for word in THIRD],
    ),
    (
        "a network is one client",
        [(0, f"192.0.2.{number}", A, word) for number, word in enumerate(THIRD)],
    ),
    ("the next network is another", [(0, f"192.0.{number}.1", A, "sent") for number in range(5)]),
    (
        "a /56 is one client",
        [(0, f"2001:db8:0:{number:x}::1", A, word) for number, word in enumerate(THIRD)],
    ),
    ("the next /56 is another", [(0, f"2001:db8:0:{number}00::1", A, "sent") for number in range(5)]),
    ("on an interface", [(0, "fe80::1%eth0", A, word) for word in THIRD]),
    ("other names are not equal", [(0, "192.0.2.1", f"www{number}.example.com A", "sent") for number in range(5)]),
    (
        "other types are not",
        [(0, "192.0.2.1", f"www.example.com {rtype}", "sent") for rtype in ("A", "TXT", "A", "TXT")],
    ),
    (
        "names in other case are",
        [
            (0, "192.0.2.1", f"{name}.example.com A", word)
            for name, word in zip(("www", "WWW", "wWw"), THIRD, strict=True)
        ],
    ),
    (
        "errors are, whatever was asked",
        [(0, "192.0.2.1", f"x{number}.example.com A NXDOMAIN", word) for number, word in enumerate(THIRD)],
    ),
    (
        "so are answers without data",
        [(0, "192.0.2.1", f"x{number}.example.com TXT NOERROR", word) for number, word in enumerate(THIRD)],
    ),
    (
        "errors of another kind are not",
        [(0, "192.0.2.1", f"x A {rcode}", "sent") for rcode in ("NXDOMAIN", "NOERROR", "REFUSED", "SERVFAIL")],
    ),
]


@pytest.mark.parametrize("steps", [case[1] for case in RATE_2], ids=[case[0] for case in RATE_2])
def test_two_a_second(steps: list[tuple[float, str, str, str]]) -> None:
    """Each step: when, to whom, which response, and what becomes of it."""
    rate = ResponseRate(2)
    for now, address, said, word in steps:
        assert WORDS[rate.response(packed(address), body(said), now)] == word


def test_a_header_alone_has_an_allowance_too() -> None:
    """The answer to what does not parse has no question."""
    rate = ResponseRate(1)
    header = body("x A FORMERR")[:10]
    assert [rate.response(packed("192.0.2.1"), header, 0) for _ in range(2)] == [Response.SENT, Response.TRUNCATED]


def test_the_one_used_least_recently_makes_room() -> None:
    """The table is bounded, and what is evicted is counted."""
    rate = ResponseRate(1, max_allowances=2)
    for number in (1, 2, 1, 3):
        rate.response(packed(f"192.0.{number}.1"), body(A), 0)
    assert rate.evicted == 1
    assert rate.response(packed("192.0.1.1"), body(A), 0) is not Response.SENT
    assert rate.response(packed("192.0.2.1"), body(A), 0) is Response.SENT


@given(st.integers(1, 20), st.lists(st.floats(0, 0.5), max_size=200))
def test_never_more_than_the_rate(per_second: int, pauses: list[float]) -> None:
    """In any time as many are sent as it has seconds times the rate, and a second's worth at once."""
    rate, now, sent = ResponseRate(per_second), 0.0, 0
    for pause in pauses:
        now += pause
        sent += rate.response(packed("192.0.2.1"), body(A), now) is Response.SENT
    assert sent <= per_second * (now + 1) + 1e-6
    assert sent >= min(len(pauses), per_second)


@pytest.mark.parametrize("edns", [False, True])
def test_truncated(edns: bool) -> None:
    """It says TC and nothing else, and is no larger than the question."""
    query = dns.message.make_query("WWW.example.com", "A", use_edns=0 if edns else False)
    octets = truncated(query.to_wire())
    assert octets is not None
    response = dns.message.from_wire(query.to_wire()[:2] + octets)
    assert query.is_response(response)
    assert response.question[0].name.to_text() == "WWW.example.com."
    assert response.flags & dns.flags.TC
    assert (response.answer, response.authority, response.additional) == ([], [], [])
    assert (response.edns >= 0) is edns
    assert len(octets) + 2 <= len(query.to_wire())


@pytest.mark.parametrize("message", [b"", bytes(12), dns.message.make_query("x", "A", id=1).to_wire()[:-1]])
def test_no_question_to_ask_again(message: bytes) -> None:
    """What does not parse is not truncated."""
    assert truncated(message) is None
