"""What of a reply is kept: replies as text, made by dnspython, and the lines that are left of them."""

from collections.abc import Sequence

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from dnsbridge.wire import walk
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.name import from_text, to_text
from dnsbridge.wire.scrub import scrub
from dnsbridge.zone.master import type_to_text

A, OTHER = "www.example. 60 IN A 192.0.2.1", "www.other. 60 IN A 192.0.2.66"
SIGNATURE = "RRSIG {} 8 2 60 20300101000000 20200101000000 1 example. AAAA"
SOA = "example. 300 IN SOA ns.example. admin.example. 1 7200 1800 86400 60"
CHAIN = [f"link{number}.example. 60 IN CNAME link{number + 1}.example." for number in range(12)]
ALIAS = "www.example. 60 IN CNAME web.example."
WEB = "web.example. 60 IN A 192.0.2.2"
DNAME = "old.example. 60 IN DNAME new.example."
LONG = ".".join(["a" * 60] * 4 + ["example."])


def scrubbed(
    name: str, rtype: str, answer: Sequence[str], authority: Sequence[str] = (), dnssec_ok: bool = False
) -> tuple[list[str], list[str]] | Failure:
    """`NAME TYPE` of each record that is left, of the answer and of the authority section, where no chain leads on."""
    message = dns.message.make_response(dns.message.make_query(name, rtype))
    for section, lines in ((message.answer, answer), (message.authority, authority), (message.additional, [OTHER])):
        for line in lines:
            owner, ttl, rclass, kind, data = line.split(None, 4)
            section.append(dns.rrset.from_text(owner, int(ttl), rclass, kind, data))
    read = walk.read(message.to_wire())
    assert isinstance(read, walk.Message)
    kept = scrub(read, from_text(name), dns.rdatatype.from_text(rtype), dnssec_ok)
    if isinstance(kept, Failure):
        return kept
    assert not kept.leads_on
    answers, authorities = (
        [f"{to_text(each.owner.lower())} {type_to_text(each.rtype)}" for each in section for _ in each.data]
        for section in (kept.answer, kept.authority)
    )
    return answers, authorities


@pytest.mark.parametrize(
    ("name", "rtype", "answer", "left"),
    [
        ("www.example.", "A", [A], ["www.example. A"]),
        ("WWW.example.", "A", [A], ["www.example. A"]),
        ("www.example.", "A", [A, OTHER], ["www.example. A"]),
        ("www.example.", "A", [OTHER], []),
        ("www.example.", "A", [A, "www.example. 60 IN AAAA 2001:db8::1"], ["www.example. A"]),
        ("www.example.", "A", [A, "example. 60 IN NS ns.example."], ["www.example. A"]),
        ("www.example.", "ANY", [A, "www.example. 60 IN AAAA 2001:db8::1"], ["www.example. A", "www.example. AAAA"]),
        ("www.example.", "ANY", [ALIAS, WEB], ["www.example. CNAME"]),
        ("www.example.", "A", [ALIAS, WEB], ["www.example. CNAME", "web.example. A"]),
        ("www.example.", "A", [WEB, ALIAS], ["www.example. CNAME", "web.example. A"]),
        ("www.example.", "A", [ALIAS, WEB, A, OTHER], ["www.example. CNAME", "web.example. A"]),
        ("www.example.", "CNAME", [ALIAS, WEB], ["www.example. CNAME"]),
        ("www.example.", "A", [ALIAS], ["www.example. CNAME"]),
        ("www.example.", "A", [ALIAS, "www.example. 60 IN CNAME www.other.", OTHER], ["www.example. CNAME"]),
        ("link2.example.", "A", CHAIN, [f"link{number}.example. CNAME" for number in range(2, 12)]),
        ("link1.example.", "A", CHAIN, Failure.CHAIN),
        ("www.example.", "A", ["www.example. 60 IN CNAME www.example."], Failure.CHAIN_LOOP),
        ("www.example.", "A", [ALIAS, "web.example. 60 IN CNAME www.example."], Failure.CHAIN_LOOP),
        (
            "www.old.example.",
            "A",
            [DNAME, "www.old.example. 60 IN CNAME www.new.example.", "www.new.example. 60 IN A 192.0.2.3"],
            ["old.example. DNAME", "www.old.example. CNAME", "www.new.example. A"],
        ),
        ("www.old.example.", "A", [DNAME, "www.old.example. 60 IN CNAME www.other."], ["www.old.example. CNAME"]),
        ("www.old.example.", "A", [DNAME], ["old.example. DNAME", "www.old.example. CNAME"]),
        (
            "Www.Old.example.",
            "A",
            [DNAME, "www.new.example. 60 IN A 192.0.2.3"],
            ["old.example. DNAME", "www.old.example. CNAME", "www.new.example. A"],
        ),
        (LONG, "A", ["example. 60 IN DNAME a-longer-name.example."], Failure.DNAME),
        ("old.example.", "DNAME", [DNAME], ["old.example. DNAME"]),
        ("www.example.", "A", [ALIAS, "example. 60 IN DNAME other.", WEB], ["www.example. CNAME", "web.example. A"]),
        ("www.example.", "A", [A, f"www.example. 60 IN {SIGNATURE.format('A')}"], ["www.example. A"]),
    ],
)
def test_answers(name: str, rtype: str, answer: list[str], left: list[str] | Failure) -> None:
    """The chain from the name and what it leads to, in order; over ten links, or a circle, is none."""
    assert scrubbed(name, rtype, answer) == (left if isinstance(left, Failure) else (left, []))


def test_signatures() -> None:
    """With DO each part of the chain keeps its signatures, once."""
    answer = [
        ALIAS,
        f"www.example. 60 IN {SIGNATURE.format('CNAME')}",
        WEB,
        f"web.example. 60 IN {SIGNATURE.format('A')}",
    ]
    found = scrubbed("www.example.", "A", answer, dnssec_ok=True)
    assert found == (["www.example. CNAME", "www.example. RRSIG", "web.example. A", "web.example. RRSIG"], [])
    only = scrubbed("web.example.", "RRSIG", answer, dnssec_ok=True)
    assert only == (["web.example. RRSIG"], [])
    assert scrubbed("web.example.", "ANY", answer, dnssec_ok=True) == (["web.example. A", "web.example. RRSIG"], [])


@pytest.mark.parametrize(
    ("answer", "authority", "dnssec_ok", "left"),
    [
        ([], [SOA], False, ["example. SOA"]),
        ([], [SOA, "example. 60 IN NS ns.example."], False, ["example. SOA"]),
        ([], ["other. 300 IN SOA ns.other. admin.other. 1 7200 1800 86400 60"], False, []),
        ([], ["ample. 300 IN SOA ns.other. admin.other. 1 7200 1800 86400 60"], False, []),
        ([], [". 300 IN SOA a.root. b.root. 1 7200 1800 86400 60"], False, [". SOA"]),
        (
            ["www.example. 60 IN CNAME www.other."],
            ["other. 300 IN SOA ns.other. admin.other. 1 7200 1800 86400 60"],
            False,
            ["other. SOA"],
        ),
        ([A], [SOA, "example. 60 IN NS ns.example."], False, []),
        ([], [SOA, f"example. 60 IN {SIGNATURE.format('SOA')}"], False, ["example. SOA"]),
        ([], [SOA, f"example. 60 IN {SIGNATURE.format('SOA')}"], True, ["example. SOA", "example. RRSIG"]),
        ([A], ["a.example. 60 IN NSEC z.example. A"], True, ["a.example. TYPE47"]),
        ([A], ["a.example. 60 IN NSEC z.example. A"], False, []),
    ],
)
def test_authority(answer: list[str], authority: list[str], dnssec_ok: bool, left: list[str]) -> None:
    """A negative answer keeps the SOA of a zone above it, and who asked with DO the proofs."""
    found = scrubbed("www.example.", "A", answer, authority, dnssec_ok)
    assert not isinstance(found, Failure)
    assert found[1] == left
