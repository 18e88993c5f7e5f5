"""Tables of questions and expected answers, put to the running program.

    Row("what it shows", "web.shop.svc.Z A", answer=["@ A 10.96.0.10"])

`Z` is the suffix that is asked under, `@` the name of the question as asked. A record is `OWNER [TTL] TYPE DATA`; the
TTL is left out where it is that of cluster data, TTL seconds. A row without an answer expects an SOA in the authority
section as a negative answer must have it, which `soa` owns.
"""

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.SOA import SOA

from tests.support.program import Program, Transport

TTL = 5
"""Seconds, the default setting `ttl`."""
OUTSIDE_TTL = 60
"""Seconds, of names of the corporate DNS in the tests."""
COUNTED_DOWN = 30
"""Seconds that the cache may have taken from it while the tests run."""
NEGATIVE_TTL = 1
"""Seconds, the default setting `negative_ttl`."""


class Row(NamedTuple):
    """A question and what is expected of its answer."""

    name: str
    question: str
    answer: Sequence[str] = ()
    additional: Sequence[str] = ()
    rcode: str = "NOERROR"
    soa: str = "Z"
    """Owner of the SOA in a negative answer; a suffix of the question's name."""


def no_data(name: str, question: str, soa: str = "Z") -> Row:
    """The name exists, the type does not."""
    return Row(name, question, soa=soa)


def no_such_name(name: str, question: str, soa: str = "Z") -> Row:
    """The name does not exist."""
    return Row(name, question, rcode="NXDOMAIN", soa=soa)


def shown(section: Sequence[dns.rrset.RRset], named_as: str = "") -> list[str]:
    """The records of a section in the form of the tables, sorted; an owner that equals `named_as` exactly becomes @."""
    lines = []
    for rrset in section:
        owner = (
            "@" if named_as and rrset.name.to_text(omit_final_dot=True) == named_as else _plain(rrset.name.to_text())
        )
        counted = OUTSIDE_TTL if OUTSIDE_TTL - COUNTED_DOWN <= rrset.ttl <= OUTSIDE_TTL else rrset.ttl
        ttl = "" if rrset.ttl == TTL else f"{counted} "
        lines += [f"{owner} {ttl}{dns.rdatatype.to_text(rrset.rdtype)} {_plain(rdata.to_text())}" for rdata in rrset]
    return sorted(lines)


def check(
    program: Program,
    row: Row,
    transport: Transport,
    zone: str = "cluster.local",
    *,
    edns: bool = False,
    server: int = 0,
) -> dns.message.Message:
    """Ask a row's question below a zone and compare everything that the answer says.

    With `edns` the answer may have 4096 octets over UDP.
    """
    name, rtype = _placed(row.question, zone).split()
    response = program.ask(name, rtype, transport, edns=edns, payload=4096, server=server)
    assert dns.rcode.to_text(response.rcode()) == row.rcode
    assert response.flags & dns.flags.AA, "cluster data comes with AA"
    assert response.flags & dns.flags.RA
    assert not response.flags & dns.flags.TC
    assert response.question[0].name.to_text(omit_final_dot=True) == name, "the question's case is kept"
    assert shown(response.answer, name) == sorted(_placed(line, zone) for line in row.answer)
    assert shown(response.additional) == sorted(_placed(line, zone) for line in row.additional)
    chain_only = rtype not in ("CNAME", "ANY") and all(" CNAME " in line for line in row.answer)
    if chain_only or not row.answer:
        check_negative_soa(response, _placed(row.soa, zone), zone)
    else:
        assert not response.authority
    return response


def check_negative_soa(response: dns.message.Message, owner: str, zone: str = "cluster.local") -> None:
    """The authority section is one SOA, which lets a caching resolver forget quickly."""
    assert len(response.authority) == 1
    rrset = response.authority[0]
    assert rrset.name.to_text(omit_final_dot=True) == owner
    assert rrset.ttl == NEGATIVE_TTL
    assert len(rrset) == 1
    check_soa(rrset[0], zone, NEGATIVE_TTL)


def check_soa(soa: object, zone: str, minimum: int) -> None:
    """An SOA's data: who serves the zone, since when it is as it is, and how long a name's absence may be kept."""
    assert isinstance(soa, SOA)
    assert _plain(soa.mname.to_text()) == f"ns.dns.{zone}"
    assert _plain(soa.rname.to_text()) == f"hostmaster.{zone}"
    assert soa.minimum == minimum
    assert 0 <= time.time() - soa.serial < 3600


def _placed(text: str, zone: str) -> str:
    return re.sub(r"\bZ\b", zone, text)


def _plain(text: str) -> str:
    """Names without the root's dot."""
    return re.sub(r"(?<=[^\s.])\.(?=\s|$)", "", text)
