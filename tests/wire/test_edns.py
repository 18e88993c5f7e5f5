"""OPT records and options: what we write dnspython reads, and the other way round."""

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.wire import edns
from dnsbridge.wire.constants import ExtendedError, Option

OPTIONS = st.lists(st.tuples(st.integers(65001, 65534), st.binary(max_size=40)), max_size=6)


def generic(code: int, data: bytes) -> dns.edns.Option:
    """An option of any code."""
    return dns.edns.GenericOption(dns.edns.OptionType.make(code), data)


def around(opt: bytes) -> dns.message.Message:
    """A message with this record alone, as dnspython reads it."""
    return dns.message.from_wire(bytes(11) + b"\x01" + opt)


@given(OPTIONS, st.booleans(), st.integers(0, 255), st.integers(512, 65535))
def test_record(options: list[tuple[int, bytes]], dnssec_ok: bool, extended_rcode: int, udp_size: int) -> None:
    """Size, DO, the upper bits of the RCODE and every option come through."""
    octets = b"".join(edns.option(code, data) for code, data in options)
    opt = edns.record(dnssec_ok, octets, extended_rcode, udp_size)
    read = around(opt)
    assert (read.edns, read.payload, read.rcode() >> 4) == (0, udp_size, extended_rcode)
    assert read.ednsflags & 0xFFFF == (edns.DO if dnssec_ok else 0)
    assert [(int(option.otype), option.to_wire()) for option in read.options] == options
    assert edns.split_options(octets) == options


@given(OPTIONS, st.booleans(), st.integers(0, 65535))
def test_read(options: list[tuple[int, bytes]], dnssec_ok: bool, payload: int) -> None:
    """What dnspython writes is read."""
    made = dns.message.make_query(
        ".", "A", use_edns=0, want_dnssec=dnssec_ok, payload=payload, options=[generic(*option) for option in options]
    )
    wire = made.to_wire()
    got = edns.read(wire, 17, len(wire))
    assert got
    assert (got.start, got.end, got.udp_size, got.version, got.dnssec_ok) == (17, len(wire), payload, 0, dnssec_ok)
    assert edns.split_options(got.options) == options
    assert all(got.has_option(code) for code, _ in options)
    assert not got.has_option(Option.COOKIE)


@given(st.binary(max_size=60))
def test_any_options(options: bytes) -> None:
    """Options that are not well-formed are refused, and only those: dnspython reads the same ones."""
    opt = edns.record(False, options)
    got = edns.read(opt, 0, len(opt))
    sizes, position = [], 0
    while position + 4 <= len(options):
        sizes.append(4 + int.from_bytes(options[position + 2 : position + 4], "big"))
        position += sizes[-1]
    assert (got is not None) == (sum(sizes) == len(options))
    if got:
        joined = b"".join(edns.option(code, data) for code, data in edns.split_options(options))
        assert joined == options


@pytest.mark.parametrize("code", list(ExtendedError))
@pytest.mark.parametrize("text", ["", "not ready"])
def test_extended_error(code: ExtendedError, text: str) -> None:
    """dnspython reads the code and the text (RFC 8914)."""
    (option,) = around(edns.record(False, edns.extended_error(code, text))).options
    assert isinstance(option, dns.edns.EDEOption)
    assert (int(option.code), option.text or "") == (int(code), text)


@pytest.mark.parametrize(("seconds", "units"), [(0, 0), (0.05, 0), (0.1, 1), (30, 300), (6553.5, 65535), (1e6, 65535)])
def test_keepalive(seconds: float, units: int) -> None:
    """The idle timeout in units of 100 ms, at most what fits (RFC 7828)."""
    (option,) = around(edns.record(False, edns.keepalive(seconds))).options
    assert (int(option.otype), option.to_wire()) == (11, units.to_bytes(2, "big"))
