"""Addresses as labels, as reverse names, and the reverse zones of prefixes."""

from ipaddress import ip_address, ip_network

import dns.name
import dns.reversename
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.wire import addresses
from dnsbridge.wire import name as names

PACKED = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
SPARSE = st.lists(st.sampled_from([b"\0\0", b"\0\1", b"\xfd\0", b"\xff\xff"]), min_size=8, max_size=8).map(b"".join)


@pytest.mark.parametrize(
    ("address", "label"),
    [
        ("10.0.0.1", b"10-0-0-1"),
        ("255.255.255.255", b"255-255-255-255"),
        ("0.0.0.0", b"0-0-0-0"),
        ("fd00::1", b"fd00--1"),
        ("::1", b"0--1"),
        ("fd00::", b"fd00--0"),
        ("::", b"0--0"),
        ("2001:db8:0:0:1::1", b"2001-db8--1-0-0-1"),
        ("1:2:3:4:5:6:7:8", b"1-2-3-4-5-6-7-8"),
    ],
)
def test_labels(address: str, label: bytes) -> None:
    """Dashes for dots and colons, and a 0 where a label would start or end with a dash."""
    packed = ip_address(address).packed
    assert addresses.to_label(packed) == label
    assert addresses.from_label(label) == packed
    assert addresses.text(packed) == str(ip_address(address))


@given(st.one_of(PACKED, SPARSE))
def test_label_and_back(packed: bytes) -> None:
    """Every address has a host name's label (RFC 1123) that spells just it."""
    label = addresses.to_label(packed)
    if not (len(packed) == 16 and packed.startswith(bytes(10) + b"\xff\xff")):
        assert addresses.from_label(label) == packed
        assert label.replace(b"-", b"").isalnum()
    assert len(label) <= 63
    assert not label.startswith(b"-")
    assert not label.endswith(b"-")


@pytest.mark.parametrize(
    "label",
    [
        *(
            b"",
            b"-",
            b"web",
            b"1-2-3",
            b"1-2-3-4-5",
            b"256-0-0-1",
            b"01-2-3-4",
            b"1-2-3-4-",
            b"-1-2-3-4",
            b"1--2-3-4-5-6-7-8-9",
        ),
        *(b"fd00---1", b"1--2--3", b"g--1", b"12345--1", b"1.2.3.4", b"fd00::1", b"--ffff-1.2.3.4", b"fe80--1%eth0"),
        *(b"\xb2-0-0-1", b"1-2-3-4\x00", b"10-0-0-1/8", b"fd00--/64", b" 1-2-3-4", b"+1-2-3-4", b"1_0-2-3-4"),
    ],
)
def test_labels_that_spell_nothing(label: bytes) -> None:
    """What is no address with dashes gives none, and no exception."""
    assert addresses.from_label(label) is None


@given(st.binary(max_size=63))
def test_any_label(label: bytes) -> None:
    """Any octets are taken, and give an address or none."""
    found = addresses.from_label(label)
    assert found is None or len(found) in (4, 16)


@given(st.one_of(PACKED, SPARSE))
def test_reverse_names(packed: bytes) -> None:
    """dnspython and the standard library write the same reverse name, and it reads back whole."""
    name = addresses.reverse_name(packed)
    assert name == dns.name.from_text(ip_address(packed).reverse_pointer).to_wire()
    if not packed.startswith(bytes(10) + b"\xff\xff"):
        assert name == dns.reversename.from_address(str(ip_address(packed))).to_wire()
    assert addresses.reverse_prefix(name) == addresses.ReversePrefix(packed, len(packed) * 8, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in-addr.arpa", ("0.0.0.0", 0, True)),
        ("10.in-addr.arpa", ("10.0.0.0", 8, True)),
        ("0.233.10.in-addr.arpa", ("10.233.0.0", 24, True)),
        ("ip6.arpa", ("::", 0, True)),
        ("d.f.ip6.arpa", ("fd00::", 8, True)),
        ("x.10.in-addr.arpa", ("10.0.0.0", 8, False)),
        ("x.1.0.233.10.in-addr.arpa", ("10.233.0.1", 32, False)),
        ("1.1.0.233.10.in-addr.arpa", ("10.233.0.1", 32, False)),
        ("256.10.in-addr.arpa", ("10.0.0.0", 8, False)),
        ("07.10.in-addr.arpa", ("10.0.0.0", 8, False)),
        ("00.10.in-addr.arpa", ("10.0.0.0", 8, False)),
        ("1000.10.in-addr.arpa", ("10.0.0.0", 8, False)),
        ("-1.10.in-addr.arpa", ("10.0.0.0", 8, False)),
        ("1.x.10.in-addr.arpa", ("10.0.0.0", 8, False)),
        ("0-25.1.168.192.in-addr.arpa", ("192.168.1.0", 24, False)),
        ("\\178.10.in-addr.arpa", ("10.0.0.0", 8, False)),
        ("g.f.ip6.arpa", ("f000::", 4, False)),
        ("df.ip6.arpa", ("::", 0, False)),
        ("arpa", None),
        (".", None),
        ("xin-addr.arpa", None),
        ("10.xin-addr.arpa", None),
        ("in-addr.arpa.example", None),
        ("a\\007in-addr\\004arpa", None),
        ("10.a\\007in-addr.arpa", None),
        ("web.shop.svc.cluster.local", None),
    ],
)
def test_reverse_prefix(text: str, expected: tuple[str, int, bool] | None) -> None:
    """What a name below the reverse trees spells, from the right, as far as it is well-formed."""
    found = addresses.reverse_prefix(names.from_text(text))
    if expected is None:
        assert found is None
    else:
        address, bits, whole = expected
        assert found == addresses.ReversePrefix(ip_address(address).packed, bits, whole)


@pytest.mark.parametrize(
    ("network", "count", "bits"),
    [
        ("10.233.0.0/18", 64, 24),
        ("10.233.64.0/18", 64, 24),
        ("10.96.0.0/12", 16, 16),
        ("10.0.0.0/8", 1, 8),
        ("192.168.7.0/24", 1, 24),
        ("10.0.0.0/26", 64, 32),
        ("10.0.0.4/32", 1, 32),
        ("fd00:96::/108", 1, 108),
        ("fd00:96::/110", 4, 112),
        ("fc00::/7", 2, 8),
        ("fd00::/62", 4, 64),
    ],
)
def test_zones_of_a_network(network: str, count: int, bits: int) -> None:
    """A prefix between two labels owns as many zones as it has prefixes that end on one, and not one more."""
    networks = addresses.networks_of([network])
    held = networks[0]
    size = held.max_prefixlen // 8
    first, step = int(held.network_address), 1 << (size * 8 - bits)
    apexes = set()
    for number in range(-2, count + 2):
        value = first + number * step
        if not 0 <= value < 1 << size * 8:
            continue
        prefix = addresses.ReversePrefix(value.to_bytes(size, "big"), bits, True)
        whole = addresses.ReversePrefix((value + step - 1).to_bytes(size, "big"), size * 8, True)
        owned = 0 <= number < count
        assert addresses.owning_prefix(prefix, networks) == (bits if owned else None)
        assert addresses.owning_prefix(whole, networks) == (bits if owned else None)
        if owned:
            apexes.add(addresses.reverse_zone(prefix, bits))
            assert addresses.reverse_zone(whole, bits) == addresses.reverse_zone(prefix, bits)
    assert len(apexes) == count
    above = addresses.ReversePrefix(held.network_address.packed, bits - (8 if size == 4 else 4), True)
    assert addresses.owning_prefix(above, networks) is None


def test_a_slash_18_among_all() -> None:
    """Of the 65,536 /24 zones below 10.in-addr.arpa exactly the 64 of 10.233.0.0/18 are owned."""
    networks = addresses.networks_of(["10.233.0.0/18"])
    owned = [
        (second, third)
        for second in range(256)
        for third in range(256)
        if addresses.owning_prefix(addresses.ReversePrefix(bytes((10, second, third, 0)), 24, True), networks)
        is not None
    ]
    assert owned == [(233, third) for third in range(64)]


@pytest.mark.parametrize(
    ("cidrs", "expected"),
    [
        ([], []),
        (["10.244.1.0/24", "10.244.0.0/24"], ["10.244.0.0/23"]),
        (["10.0.0.0/8", "10.1.0.0/16", "fd00::/64"], ["10.0.0.0/8", "fd00::/64"]),
        (["fd00::/64", "10.0.0.0/8", "fd00:0:0:1::/64"], ["10.0.0.0/8", "fd00::/63"]),
    ],
)
def test_networks_of(cidrs: list[str], expected: list[str]) -> None:
    """The fewest networks with the same addresses, IPv4 first."""
    assert addresses.networks_of(cidrs) == tuple(ip_network(cidr) for cidr in expected)


@pytest.mark.parametrize(
    ("cidr", "count", "first"),
    [
        ("10.96.0.0/16", 1, "96.10.in-addr.arpa."),
        ("10.96.0.0/12", 16, "96.10.in-addr.arpa."),
        ("10.234.7.64/26", 64, "64.7.234.10.in-addr.arpa."),
        ("10.0.0.0/8", 1, "10.in-addr.arpa."),
        ("0.0.0.0/0", 1, "in-addr.arpa."),
        ("fd00:234:0:4::/62", 4, "4.0.0.0.0.0.0.0.4.3.2.0.0.0.d.f.ip6.arpa."),
    ],
)
def test_reverse_zones(cidr: str, count: int, first: str) -> None:
    """As many zones as are needed; each address of the prefix is in the one that owns it."""
    network = ip_network(cidr)
    found = addresses.reverse_zones(network)
    assert (len(found), names.to_text(found[0])) == (count, first)
    for address in (network[0], network[-1]):
        prefix = addresses.reverse_prefix(addresses.reverse_name(address.packed))
        assert prefix
        bits = addresses.owning_prefix(prefix, (network,))
        assert bits is not None
        assert addresses.reverse_zone(prefix, bits) in found
