"""What is known of an upstream's EDNS, by a clock of the test's own: signs in, questions with or without OPT out."""

import dns.flags
import dns.message
import dns.rcode
import pytest

from dnsbridge.resolvers.forward.edns_ability import (
    FIRST_TERM,
    LONGEST_TERM,
    EdnsAbility,
    is_badvers,
    refusal,
    without_opt,
)
from dnsbridge.wire.query import Query, parse

MINUTE = 60.0


def told(signs: str, ability: EdnsAbility, now: float) -> EdnsAbility:
    """Tell what questions showed: `r`efused and answered without OPT, `s`ilent and so, `a`nswered with OPT."""
    for sign in signs:
        if sign == "r":
            ability.refused(now, "FORMERR")
        elif sign == "s":
            ability.silent(now)
        else:
            ability.answered(now, now - 0.02)
    return ability


@pytest.mark.parametrize(
    ("signs", "without"),
    [
        ("", False),
        ("r", False),
        ("rr", True),
        ("rar", False),
        ("rarr", True),
        ("s", False),
        ("ss", False),
        ("sss", True),
        ("ssass", False),
        ("rs", False),
        ("a", False),
        ("arr", True),
    ],
)
def test_signs(signs: str, without: bool) -> None:
    """Two refusals in a row or three silences, each followed by an answer without OPT; an answer to OPT ends a row."""
    ability = told(signs, EdnsAbility(), 100.0)
    assert ability.asks_without(100.0) is without
    assert ability.doubted is (bool(signs) and signs[-1] != "a")


def test_terms() -> None:
    """15 minutes without OPT, then one question tries it; each failed trial doubles the term, up to a day."""
    ability, now = EdnsAbility(), 100.0
    told("rr", ability, now)
    terms = []
    for _ in range(9):
        term = ability.without_until - now
        terms.append(term)
        assert ability.asks_without(now + term - 1)
        now += term
        assert not ability.asks_without(now)
        assert ability.doubted
        told("r", ability, now)
        assert ability.asks_without(now)
    assert terms == [FIRST_TERM * factor for factor in (1, 2, 4, 8, 16, 32, 64)] + [LONGEST_TERM] * 2
    assert ability.since == 100.0


@pytest.mark.parametrize(
    ("able_for", "term"), [(MINUTE, 2 * FIRST_TERM), (FIRST_TERM - 1, 2 * FIRST_TERM), (FIRST_TERM + 1, FIRST_TERM)]
)
def test_an_upstream_that_flips(able_for: float, term: float) -> None:
    """One that takes OPT for less time than it was asked without is tried again later and later."""
    ability, now = told("rr", EdnsAbility(), 100.0), 100.0 + FIRST_TERM
    told("a", ability, now)
    assert not ability.doubted
    now += able_for
    told("rr", ability, now)
    assert ability.without_until - now == term


def test_other_questions_of_the_same_moment() -> None:
    """Questions that were out when the term began do not make it longer."""
    ability = told("rr", EdnsAbility(), 100.0)
    until = ability.without_until
    told("rrrsss", ability, 101.0)
    assert ability.without_until == until


def test_which_datagram_goes_without() -> None:
    """The second of an upstream that never answered OPT, or is in doubt; the fourth of one that did."""
    ability = EdnsAbility()
    assert ability.silence_turn == 1
    told("a", ability, 100.0)
    assert ability.silence_turn == 3
    told("s", ability, 200.0)
    assert ability.silence_turn == 1


def wire_of(**keywords: object) -> tuple[bytes, bytes]:
    """A question as a client sends it, after its ID, and its question section."""
    query = parse(dns.message.make_query("www.example.com", "A", **keywords).to_wire())  # type: ignore[arg-type]
    assert isinstance(query, Query)
    return query.message[2:], query.question


@pytest.mark.parametrize(
    "keywords",
    [
        {"use_edns": 0},
        {"use_edns": 0, "want_dnssec": True, "payload": 4000},
        {"use_edns": 0, "options": [dns.edns.GenericOption(dns.edns.OptionType.make(65001), b"xyz")]},
    ],
)
def test_without_opt(keywords: dict[str, object]) -> None:
    """What is left is what dnspython makes of the question without EDNS."""
    wire, question = wire_of(**keywords)
    read = dns.message.from_wire(b"\0\0" + (without_opt(wire, question) or b""))
    assert (read.edns, read.question[0].name.to_text(), read.flags) == (-1, "www.example.com.", dns.flags.RD)


def test_nothing_to_leave_out() -> None:
    """A question without OPT, with records beside it, or with octets after it stays as it is."""
    plain, question = wire_of()
    assert without_opt(plain, question) is None
    wire, question = wire_of(use_edns=0)
    assert without_opt(wire + b"\0", question) is None
    assert without_opt(wire[:9] + b"\2" + wire[10:], question) is None


@pytest.mark.parametrize(
    ("rcode", "how"),
    [("FORMERR", "FORMERR"), ("NOTIMP", "NOTIMP"), ("BADVERS", "BADVERS"), ("SERVFAIL", ""), ("REFUSED", ""),
     ("NOERROR", ""), ("NXDOMAIN", ""), ("BADCOOKIE", "")],
)  # fmt: skip
def test_refusals(rcode: str, how: str) -> None:
    """FORMERR, NOTIMP and BADVERS speak of OPT, nothing else does."""
    asked = dns.message.make_query("www.example.com", "A", use_edns=0)
    response = dns.message.make_response(asked)
    response.set_rcode(dns.rcode.from_text(rcode))
    _, question = wire_of()
    assert refusal(response.to_wire(), question) == how
    assert is_badvers(response.to_wire(), question) is (rcode == "BADVERS")
