"""What of a reply is kept: replies as text, made by dnspython, and the lines that are left of them."""

from collections.abc import Callable, Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from dnsbridge.wire import whole_message
from dnsbridge.wire.compose import RRset
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.name import from_text, is_below, to_text
from dnsbridge.wire.presentation import type_to_text
from dnsbridge.wire.scrub import Scrubbed, Whose, scrub

A, OTHER = "www.example. 60 IN A 192.0.2.1", "www.other. 60 IN A 192.0.2.66"
SIGNATURE = "RRSIG {} 8 2 60 20300101000000 20200101000000 1 example. AAAA"
SOA = "example. 300 IN SOA ns.example. admin.example. 1 7200 1800 86400 60"
CHAIN = [f"link{number}.example. 60 IN CNAME link{number + 1}.example." for number in range(12)]
ALIAS = "www.example. 60 IN CNAME web.example."
WEB = "web.example. 60 IN A 192.0.2.2"
DNAME = "old.example. 60 IN DNAME new.example."
LONG = ".".join(["a" * 60] * 4 + ["example."])


def read_and_scrub(
    name: str,
    rtype: str,
    answer: Sequence[str],
    authority: Sequence[str] = (),
    dnssec_ok: bool = False,
    *,
    rcode: int = 0,
    recurses: bool = False,
    authoritative: bool = False,
    whose: Callable[[bytes], Whose] | None = None,
) -> Scrubbed | Failure:
    """What is left of a reply with these records and flags."""
    message = dns.message.make_response(dns.message.make_query(name, rtype), recursion_available=recurses)
    message.set_rcode(dns.rcode.Rcode(rcode))
    if authoritative:
        message.flags |= dns.flags.AA
    for section, records in ((message.answer, answer), (message.authority, authority), (message.additional, [OTHER])):
        for line in records:
            owner, ttl, rclass, kind, data = line.split(None, 4)
            section.append(dns.rrset.from_text(owner, int(ttl), rclass, kind, data))
    read = whole_message.read(message.to_wire())
    assert isinstance(read, whole_message.Message)
    return scrub(read, from_text(name), dns.rdatatype.from_text(rtype), dnssec_ok, whose)


def lines(section: Sequence[RRset]) -> list[str]:
    """`NAME TYPE` of each record."""
    return [f"{to_text(each.owner.lower())} {type_to_text(each.rtype)}" for each in section for _ in each.data]


def scrubbed(
    name: str, rtype: str, answer: Sequence[str], authority: Sequence[str] = (), dnssec_ok: bool = False
) -> tuple[list[str], list[str]] | Failure:
    """The records that are left, of the answer and of the authority section, where no chain leads on."""
    kept = read_and_scrub(name, rtype, answer, authority, dnssec_ok)
    if isinstance(kept, Failure):
        return kept
    assert not kept.leads_on
    return lines(kept.answer), lines(kept.authority)


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
        ([A], ["a.example. 60 IN NSEC z.example. A"], True, ["a.example. NSEC"]),
        ([A], ["a.example. 60 IN NSEC z.example. A"], False, []),
    ],
)
def test_authority(answer: list[str], authority: list[str], dnssec_ok: bool, left: list[str]) -> None:
    """A negative answer keeps the SOA of a zone above it, and who asked with DO the proofs."""
    found = scrubbed("www.example.", "A", answer, authority, dnssec_ok)
    assert not isinstance(found, Failure)
    assert found[1] == left


CLUSTER = "app.example. 60 IN CNAME Web.shop.svc.cluster.local."
DIRECTLY = "web.shop.svc.cluster.local. 60 IN A 192.0.2.99"
LAB = "app.example. 60 IN CNAME host.lab.example."
ROOT_SOA = ". 300 IN SOA a.root. b.root. 1 7200 1800 86400 60"
BACK = "web.shop.svc.cluster.local. 60 IN CNAME other.example."
APP = "app.example. CNAME"
LINKS = [f"link{number}.example. 60 IN CNAME link{number + 1}.example." for number in range(2, 11)]
RECURSES, NOT = True, False


def whose(name: bytes) -> Whose:
    """As the forward zone of the root sees a cluster and another forward zone."""
    if is_below(name, from_text("cluster.local")):
        return Whose.CLUSTER
    return Whose.ANOTHER if is_below(name, from_text("lab.example")) else Whose.HERE


@pytest.mark.parametrize(
    ("answer", "authority", "rcode", "recurses", "leads_on", "left"),
    [
        pytest.param([CLUSTER], [], 0, RECURSES, True, [APP], id="into a cluster, without an address"),
        pytest.param([CLUSTER], [], 0, NOT, True, [APP], id="into a cluster, from a server that does not recurse"),
        pytest.param([CLUSTER], [ROOT_SOA], 3, RECURSES, True, [APP], id="into a cluster, NXDOMAIN"),
        pytest.param([CLUSTER, DIRECTLY], [], 0, RECURSES, True, [APP], id="into a cluster, with an address"),
        pytest.param([CLUSTER, BACK, "other.example. 60 IN A 192.0.2.3"], [], 0, NOT, True, [APP], id="and out again"),
        pytest.param([CLUSTER, "cluster.local. 9 IN DNAME example."], [], 0, NOT, True, [APP], id="a DNAME over it"),
        pytest.param([CLUSTER], [], 2, NOT, True, [APP], id="into a cluster, SERVFAIL"),
        pytest.param([LAB], [], 5, NOT, True, [APP], id="into another forward zone, REFUSED"),
        pytest.param(["app.example. 60 IN CNAME web.example."], [], 5, NOT, False, [APP], id="own, REFUSED"),
        pytest.param([LAB], [], 0, RECURSES, True, [APP], id="into another forward zone"),
        pytest.param([LAB], [ROOT_SOA], 3, RECURSES, True, [APP], id="into another forward zone, NXDOMAIN"),
        pytest.param(
            [LAB, "host.lab.example. 60 IN A 192.0.2.4"],
            [],
            0,
            RECURSES,
            False,
            [APP, "host.lab.example. A"],
            id="into another forward zone, with an address",
        ),
        pytest.param(
            [LAB, "host.lab.example. 60 IN CNAME web.example."],
            [],
            0,
            NOT,
            True,
            [APP, "host.lab.example. CNAME"],
            id="through another forward zone and back, unfinished",
        ),
        pytest.param(["app.example. 60 IN CNAME web.example."], [], 0, NOT, True, [APP], id="own, does not recurse"),
        pytest.param(
            ["app.example. 60 IN CNAME web.example."], [], 3, NOT, True, [APP], id="own, NXDOMAIN without SOA"
        ),
        pytest.param(["app.example. 60 IN CNAME web.example."], [], 0, RECURSES, False, [APP], id="own, recurses"),
        pytest.param(
            ["app.example. 60 IN CNAME web.example."], [SOA], 0, NOT, False, [APP], id="own, no data by its SOA"
        ),
        pytest.param(
            ["app.example. 60 IN CNAME www.other."], [SOA], 0, NOT, True, [APP], id="own, the SOA of another zone"
        ),
        pytest.param(
            [
                "app.example. 60 IN CNAME link2.example.",
                *LINKS,
                "link11.example. 60 IN CNAME web.shop.svc.cluster.local.",
            ],
            [],
            0,
            RECURSES,
            Failure.CHAIN,
            [],
            id="eleven links, the last into a cluster",
        ),
        pytest.param(
            ["example. 60 IN DNAME shop.svc.cluster.local."],
            [],
            0,
            NOT,
            True,
            ["example. DNAME", APP],
            id="a DNAME into a cluster",
        ),
        pytest.param([], ["example. 60 IN NS ns.example."], 0, NOT, Failure.REFERRAL, [], id="a referral"),
        pytest.param([], [". 60 IN NS a.root."], 0, NOT, Failure.REFERRAL, [], id="a referral to the root"),
        pytest.param([OTHER], ["example. 60 IN NS ns.example."], 0, NOT, Failure.REFERRAL, [], id="with other records"),
        pytest.param([], ["example. 60 IN NS ns.example."], 3, NOT, False, [], id="NXDOMAIN with NS"),
        pytest.param([], ["example. 60 IN NS ns.example."], 0, RECURSES, False, [], id="NS from a recursor"),
        pytest.param([], ["example. 60 IN NS ns.example.", SOA], 0, NOT, False, [], id="NS and SOA: no data"),
        pytest.param([], [], 0, NOT, False, [], id="nothing at all"),
    ],
)
def test_where_chains_lead_on(
    answer: list[str], authority: list[str], rcode: int, recurses: bool, leads_on: bool | Failure, left: list[str]
) -> None:
    """A chain leads on by whose its last name is and what the reply has for it; what is about a cluster is dropped."""
    kept = read_and_scrub("app.example.", "A", answer, authority, rcode=rcode, recurses=recurses, whose=whose)
    if isinstance(leads_on, Failure):
        assert kept is leads_on
        return
    assert isinstance(kept, Scrubbed)
    assert (kept.leads_on, lines(kept.answer)) == (leads_on, left)
    assert not (leads_on and kept.authority)


@pytest.mark.parametrize("rtype", ["CNAME", "ANY", "DNAME"])
def test_types_that_lead_nowhere(rtype: str) -> None:
    """Whoever asks for an alias itself gets it, and nothing is followed."""
    kept = read_and_scrub("app.example.", rtype, [CLUSTER, DIRECTLY], whose=whose)
    assert isinstance(kept, Scrubbed)
    assert (kept.leads_on, lines(kept.answer)) == (False, [APP])


def test_an_authoritative_server_gives_no_referral() -> None:
    """NS records beside an empty answer with AA are those of the zone itself (RFC 2308 section 2.2)."""
    kept = read_and_scrub("app.example.", "A", [], ["example. 60 IN NS ns.example."], authoritative=True, whose=whose)
    assert isinstance(kept, Scrubbed)


def test_signatures_of_a_chain_that_leads_on() -> None:
    """With DO the alias keeps its signature; proofs about the target are dropped."""
    answer = [CLUSTER, f"app.example. 60 IN {SIGNATURE.format('CNAME')}"]
    proof = "local. 60 IN NSEC locker. NS"
    kept = read_and_scrub("app.example.", "A", answer, [ROOT_SOA, proof], dnssec_ok=True, rcode=3, whose=whose)
    assert isinstance(kept, Scrubbed)
    assert (kept.leads_on, lines(kept.answer), kept.authority) == (True, [APP, "app.example. RRSIG"], [])
