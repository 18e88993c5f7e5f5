"""Names: text and wire, labels, suffixes; dnspython is the oracle."""

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.wire import name as names

LABELS = st.one_of(
    st.binary(min_size=1, max_size=63),
    st.text('abcXYZ019-_.\\;@$ "()', min_size=1, max_size=12).map(str.encode),
)
WIRES = (
    st.lists(LABELS, max_size=6)
    .map(lambda labels: names.from_labels(*labels) + b"\x00")
    .filter(lambda name: len(name) <= 255)
)


@given(WIRES)
def test_text_and_back(wire: bytes) -> None:
    """The presentation form of any name is one that dnspython reads as the same name, and so do we."""
    text = names.to_text(wire)
    assert text.isascii()
    assert text.isprintable()
    assert dns.name.from_text(text).to_wire() == wire
    assert names.from_text(text) == wire


@given(WIRES)
def test_dnspythons_text(wire: bytes) -> None:
    """The text that dnspython writes reads as the same name."""
    assert names.from_text(dns.name.from_wire(wire, 0)[0].to_text()) == wire


@given(WIRES)
def test_labels(wire: bytes) -> None:
    """The labels are dnspython's, and joined they are the name; lowering the octets lowers exactly the labels."""
    labels = names.labels(wire)
    assert (*labels, b"") == dns.name.from_wire(wire, 0)[0].labels
    assert names.from_labels(*labels) + names.ROOT == wire
    assert names.labels(wire[:-1]) == labels
    assert names.labels(wire.lower()) == [label.lower() for label in labels]


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("", b"\x00"),
        (".", b"\x00"),
        ("local", b"\x05local\x00"),
        ("local.", b"\x05local\x00"),
        ("Web.Shop.", b"\x03Web\x04Shop\x00"),
        ("a\\.b.c", b"\x03a.b\x01c\x00"),
        ("a\\\\b", b"\x03a\\b\x00"),
        ("\\097\\000\\255", b"\x03a\x00\xff\x00"),
        ("a\\046b", b"\x03a.b\x00"),
        ("_http._tcp", b"\x05_http\x04_tcp\x00"),
        ("a b", b"\x03a b\x00"),
        ("x" * 63, b"\x3f" + b"x" * 63 + b"\x00"),
        ("a." * 127, b"\x01a" * 127 + b"\x00"),
    ],
)
def test_from_text(text: str, wire: bytes) -> None:
    """Escapes, final dots and the longest names, as dnspython reads them."""
    assert names.from_text(text) == wire
    assert dns.name.from_text(text or ".").to_wire() == wire


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a..b", "a label is empty"),
        (".a", "a label is empty"),
        ("..", "a label is empty"),
        ("x" * 64, "a label has over 63 octets"),
        ("a." * 128, "at most 255 octets"),
        (("x" * 63 + ".") * 4, "at most 255 octets"),
        ("bücher.example", "is outside ASCII"),
        ("a\x7f", "is outside ASCII"),
        ("a\\", "is outside ASCII"),
        ("a\\ü", "is outside ASCII"),
        ("\ud800", "is outside ASCII"),
        ("a\\25\u0663", "is outside ASCII"),
    ],
)
def test_no_names(text: str, reason: str) -> None:
    """What is no name is refused in one line that says why."""
    with pytest.raises(names.BadNameError, match=reason) as refused:
        names.from_text(text)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    """Any text gives a well-formed name or a BadNameError."""
    try:
        wire = names.from_text(text)
    except names.BadNameError:
        return
    assert dns.name.from_wire(wire, 0)[1] == len(wire)


@pytest.mark.parametrize(
    ("name", "zone", "expected"),
    [
        ("cluster.local", "cluster.local", True),
        ("web.cluster.local", "cluster.local", True),
        ("web.cluster.local", ".", True),
        (".", ".", True),
        ("xcluster.local", "cluster.local", False),
        ("local", "cluster.local", False),
        ("web.cluster.local.corp", "cluster.local", False),
        ("x\\007cluster.local", "cluster.local", False),
        ("a.x\\007cluster\\005local", "cluster.local", False),
    ],
)
def test_is_below(name: str, zone: str, expected: bool) -> None:
    """A suffix counts at a label's boundary only, also where octets in a label look like one."""
    assert names.is_below(names.from_text(name), names.from_text(zone)) is expected
    assert dns.name.from_text(name).is_subdomain(dns.name.from_text(zone)) is expected


@given(WIRES, WIRES)
def test_is_below_any(front: bytes, zone: bytes) -> None:
    """As dnspython says, for any two names, one of them often below the other."""
    front, zone = front.lower(), zone.lower()
    for name in (front, front[:-1] + zone):
        if len(name) <= 255:
            expected = dns.name.from_wire(name, 0)[0].is_subdomain(dns.name.from_wire(zone, 0)[0])
            assert names.is_below(name, zone) is expected
