"""Types and record data as text: dnspython reads the same octets from it."""

import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rdtypes.svcbbase
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.wire.presentation import data_to_text, type_of_text, type_to_text
from tests.support.properties import examples

DATA: list[tuple[str, str, str]] = [
    ("A", "192.0.2.1", "192.0.2.1"),
    ("AAAA", "fd00::1", "fd00::1"),
    ("CNAME", r"a\.b.c.", r"a\.b.c."),
    ("PTR", r"x\255y.z.", r"x\255y.z."),
    ("SOA", r"a. b\@c.d. 1 2 3 4 5", r"a. b\@c.d. 1 2 3 4 5"),
    ("MX", "10 m.x.", "10 m.x."),
    ("SRV", "1 2 3 t.x.", "1 2 3 t.x."),
    ("TXT", r'"a\"b" "c\\d" "\001\255"', r'"a\"b" "c\\d" "\001\255"'),
    ("HINFO", '"a" "b"', '"a" "b"'),
    ("RP", "a. b.", "a. b."),
    ("DNAME", "x.y.", "x.y."),
    ("NAPTR", '1 2 "s" "SIP+D2U" "" _s.x.', '1 2 "s" "SIP+D2U" "" _s.x.'),
    ("CAA", '0 issue "ca.example"', '0 issue "ca.example"'),
    ("DNSKEY", "257 3 13 aabbaabb", "257 3 13 aabbaabb"),
    ("DS", f"1 8 2 {'ab' * 32}", f"1 8 2 {'AB' * 32}"),
    ("TLSA", f"3 1 1 {'ab' * 32}", f"3 1 1 {'AB' * 32}"),
    ("HTTPS", "1 . alpn=h2,h3 ipv4hint=192.0.2.1", "1 . alpn=h2,h3 ipv4hint=192.0.2.1"),
    ("NSEC", "a. A AAAA RRSIG", "a. A AAAA RRSIG"),
    # What dnslib would write is read as something else, or it knows nothing of the type.
    ("NAPTR", r'1 2 "s" "" "" _s\.x.', r"\# 14 0001000201730000045f732e7800"),
    ("CAA", r'0 issue "a\"b"', r"\# 10 00056973737565612262"),
    ("HTTPS", r"1 a\.b.", r"\# 7 000103612e6200"),
    ("OPENPGPKEY", "aabb", r"\# 3 69a6db"),
    ("TYPE65400", r"\# 4 c00cc0ff", r"\# 4 c00cc0ff"),
]


@pytest.mark.parametrize(("rtype", "text", "shown"), DATA)
def test_record_data(rtype: str, text: str, shown: str) -> None:
    """What is shown of data."""
    number = dns.rdatatype.from_text(rtype)
    data = dns.rdata.from_text("IN", rtype, text).to_wire(origin=dns.name.root)
    assert data is not None
    assert data_to_text(number, data) == shown


TYPES = [
    dns.rdatatype.RdataType.make(number) for number in range(1, 266) if number not in (14, 41, 249, 250, 251, 252, 255)
]
"""All that records can have, known to dnslib or not; of MINFO dnspython only knows the generic form."""


@examples(1000)
@given(st.sampled_from(TYPES), st.binary(max_size=60))
def test_shown_data_is_read_as_the_same_octets(rtype: dns.rdatatype.RdataType, octets: bytes) -> None:
    """Any data that is well-formed, of any type: the text means it, whoever reads it."""
    try:
        meant = dns.rdata.from_wire("IN", rtype, octets, 0, len(octets), origin=None)
    except (dns.exception.DNSException, ValueError, KeyError):
        return
    data = meant.to_wire()
    assert data is not None
    again = dns.rdata.from_text("IN", rtype, data_to_text(rtype, data), relativize=False)
    assert again.to_wire() == data


@given(st.integers(1, 65535), st.binary(max_size=60))
def test_any_octets_have_a_text(rtype: int, octets: bytes) -> None:
    """Broken data of types without names in the generic form, and never an error."""
    if rtype not in (1, 28, 13, 16) and type_to_text(rtype) not in NAMES:
        assert data_to_text(rtype, octets).isprintable()


NAMES = {"NS", "CNAME", "SOA", "PTR", "MINFO", "MX", "RP", "AFSDB", "RT", "SRV", "KX", "DNAME"}
"""Types whose data is only shown when it is well-formed: walking a message has seen to that."""


@pytest.mark.parametrize(
    ("text", "number"),
    [("A", 1), ("AAAA", 28), ("HTTPS", 65), ("CAA", 257), ("TYPE65400", 65400), ("DS", 43), ("ANY", 255)],
)
def test_types(text: str, number: int) -> None:
    """Mnemonics, there and back."""
    assert (type_of_text(text), type_to_text(number)) == (number, text)


@pytest.mark.parametrize("text", ["", "NOTYPE", "TYPE", "TYPE65536", "TYPE-1", "TYPE٣", "a"])
def test_no_types(text: str) -> None:
    """A text that is no type."""
    assert type_of_text(text) is None
