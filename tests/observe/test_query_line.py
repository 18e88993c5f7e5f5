"""Lines of the query log: the question and answer as dnspython made them, for people and as JSON."""

import json
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.observe.exchange import Exchange
from dnsbridge.observe.log import Format
from dnsbridge.observe.query_line import query_line
from tests.support.properties import examples

ASKED_AT = 1_769_860_800_123_456_789
"""2026-01-31T12:00:00.123456789Z."""


def exchange(query: bytes, response: bytes, client: str = "10.0.0.7", stream: bool = False) -> Exchange:
    """An answer after 80 microseconds."""
    at = ASKED_AT + 80_000
    return Exchange(stream, ip_address(client).packed, 5353, b"", 53, ASKED_AT, query, at, response)


def answered(name: str, rtype: str = "A", rclass: str = "IN", rcode: str = "NOERROR") -> tuple[bytes, bytes]:
    """A question, and its answer with an RCODE."""
    query = dns.message.make_query(name, rtype, rclass, use_edns=True)
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.from_text(rcode))
    return query.to_wire(), response.to_wire()


CASES = [
    ("plain", answered("web.shop.svc.cluster.local"), "10.0.0.7#5353 udp web.shop.svc.cluster.local. A NOERROR"),
    ("type by number", answered("a", "TYPE65280"), "10.0.0.7#5353 udp a. TYPE65280 NOERROR"),
    ("another class", answered("version.bind", "TXT", "CH", "REFUSED"),
     "10.0.0.7#5353 udp version.bind. CH TXT REFUSED"),
    ("RCODE over 15", answered(".", rcode="BADVERS"), "10.0.0.7#5353 udp . A BADVERS"),
    ("RCODE without a name", answered("a", rcode="NOTAUTH"), "10.0.0.7#5353 udp a. A RCODE9"),
    ("control characters", answered(r"a\010b\027\200\"x\000<b>"),
     r"10.0.0.7#5353 udp a\010b\027\200\"x\000<b>. A NOERROR"),
    ("no question", (b"\0\1" + bytes(10), b"\0\1\x80\1" + bytes(8)), "10.0.0.7#5353 udp - - FORMERR"),
    ("a broken question", (b"\0\1\0\0\0\1" + bytes(6) + b"\x3f", b"\0\1\x80\1" + bytes(8)),
     "10.0.0.7#5353 udp - - FORMERR"),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "wanted"), [each[1:] for each in CASES], ids=[each[0] for each in CASES])
def test_a_line(messages: tuple[bytes, bytes], wanted: str) -> None:
    """The same for people and as JSON."""
    found = exchange(*messages)
    octets = len(messages[1])
    line = query_line("console", found).decode()
    assert line == f"2026-01-31T12:00:00.123Z {wanted} {octets} octets 0.08 ms\n"
    read = json.loads(query_line("json", found))
    who, _, question = wanted.partition(" udp ")
    name, _, rest = question.partition(" ")
    rtype, _, rcode = rest.rpartition(" ")
    assert read == {
        "time": "2026-01-31T12:00:00.123Z",
        "client": who.partition("#")[0],
        "port": 5353,
        "transport": "udp",
        "name": name.strip("-"),
        "type": rtype.strip("-"),
        "rcode": rcode,
        "octets": octets,
        "seconds": 0.00008,
    }


def test_ipv6_over_tcp() -> None:
    """The client as people write it."""
    line = query_line("console", exchange(*answered("a"), client="2001:db8::1", stream=True)).decode()
    assert line.startswith("2026-01-31T12:00:00.123Z 2001:db8::1#5353 tcp a. A ")


@examples(200)
@given(st.binary(max_size=300), st.binary(min_size=12, max_size=300))
def test_any_message(query: bytes, response: bytes) -> None:
    """Whatever was asked, the line is one printable line, and fits into one write to a pipe."""
    forms: tuple[Format, ...] = ("console", "json")
    for form in forms:
        line = query_line(form, exchange(query, response))
        assert len(line) < 4096
        assert line.endswith(b"\n")
        assert line[:-1].decode().isprintable()
