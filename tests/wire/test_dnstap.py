"""dnstap messages and frame streams, as dnstap-read reads them."""

from ipaddress import ip_address
from pathlib import Path

import dns.message
import dns.rrset
import pytest

from dnsbridge.wire.dnstap import CONTENT_TYPE, Encoder
from dnsbridge.wire.frame_streams import MAX_CONTROL, PREFIX, Control, control, control_kind, control_size, data
from tests.support.dnstap import shown

QUERY = dns.message.make_query("web.shop.svc.cluster.local", "AAAA", use_edns=True, payload=1232)
RESPONSE = dns.message.make_response(QUERY)
LONG = dns.message.make_response(QUERY)
LONG.answer = [dns.rrset.from_text(QUERY.question[0].name, 5, "IN", "AAAA", *(f"2001:db8::{n:x}" for n in range(999)))]
AT = 1_769_860_800_000_000_005


@pytest.mark.needs("dnstap-read")
@pytest.mark.parametrize(
    ("stream", "client", "server", "response", "socket"),
    [
        (False, "10.0.0.7", "10.0.0.8", RESPONSE, "INET UDP"),
        (True, "10.0.0.7", "10.0.0.8", LONG, "INET TCP"),
        (False, "2001:db8::7", "2001:db8::8", RESPONSE, "INET6 UDP"),
        (True, "2001:db8::7", "", LONG, "INET6 TCP"),
    ],
)
def test_an_exchange(
    tmp_path: Path, stream: bool, client: str, server: str, response: dns.message.Message, socket: str
) -> None:
    """The question and the answer, with their ends; a length may take one octet or several."""
    frames = Encoder("the office", "dnsbridge 1").exchange(
        stream,
        (ip_address(client).packed, 65535),
        (ip_address(server).packed if server else b"", 53),
        (AT, QUERY.to_wire()),
        (AT + 999_999_994, response.to_wire(max_size=65535)),
    )
    file = tmp_path / "tap"
    file.write_bytes(control(Control.START, CONTENT_TYPE) + b"".join(map(data, frames)) + control(Control.STOP))
    asked, answered = shown(file)
    ends = (f"{client}#65535", f"{server}#53", "the office", "dnsbridge 1")
    assert asked == ("CLIENT_QUERY", socket, *ends, QUERY, "31-Jan-2026 12:00:00.000")
    assert answered == ("CLIENT_RESPONSE", socket, *ends, response, "31-Jan-2026 12:00:00.999")


PREFIXES = [
    (b"\0\0\0\0\0\0\0\4", 4),
    (b"\0\0\0\0\0\0\0\3", None),
    (b"\0\0\0\0\0\0\2\0", MAX_CONTROL),
    (b"\0\0\0\0\0\0\2\1", None),
    (b"\0\0\0\0\xff\xff\xff\xff", None),
    (b"\0\0\0\1\0\0\0\4", None),
    (b"HTTP/1.1", None),
]


@pytest.mark.parametrize(("prefix", "wanted"), PREFIXES)
def test_a_control_frame_of_somebody_else(prefix: bytes, wanted: int | None) -> None:
    """Only a short frame after the escape is one."""
    assert control_size(prefix) == wanted


@pytest.mark.parametrize("kind", Control)
def test_our_own_control_frames(kind: Control) -> None:
    """They read back."""
    frame = control(kind, b"type")
    assert control_size(frame[:PREFIX]) == len(frame) - PREFIX
    assert control_kind(frame[PREFIX:]) == kind
