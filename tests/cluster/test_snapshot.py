"""A cluster's objects as octets: what was written comes back as it was, and of what was damaged nothing does."""

import hashlib

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dnsbridge.cluster import snapshot
from dnsbridge.cluster.objects import (
    BGPConfiguration,
    BGPPeer,
    BlockAffinity,
    CalicoNode,
    CiliumNode,
    ClusterConfiguration,
    Endpoint,
    Endpoints,
    EndpointSlice,
    FlannelConfiguration,
    IPAMBlock,
    IPPool,
    Namespace,
    Node,
    Object,
    Pod,
    Port,
    Service,
    ServiceCIDR,
    Subset,
)
from dnsbridge.cluster.snapshot import Damaged, Snapshot

HTTP = Port("http", "TCP", 80)
EACH_KIND: list[Object] = [
    Namespace(name="shop", resource_version="1"),
    Service(namespace="shop", name="web", resource_version="12", cluster_ips=(b"\n`\0P", bytes(16)), ports=(HTTP,)),
    Service(namespace="shop", name="db", headless=True, publish_not_ready=True),
    Service(namespace="shop", name="old", type="ExternalName", external_name="old.example"),
    EndpointSlice(
        namespace="shop",
        name="db-1",
        service="db",
        endpoints=(Endpoint((b"\n\x80\0\1",), "db-0", False, "db-0"), Endpoint((b"\n\x80\0\2", b"\n\x80\0\3"))),
        ports=(HTTP, Port("", "SCTP", 65535)),
    ),
    Endpoints(
        namespace="shop",
        name="db",
        subsets=(Subset((Endpoint((b"\n\x80\0\1",), "db-0", False, "db-0"),), (HTTP,)), Subset()),
    ),
    Pod(namespace="shop", name="db-0", addresses=(b"\n\x80\0\1",)),
    Node(name="node-0", addresses=(b"\xc0\xa8\x30\1",), pod_cidrs=("10.128.0.0/24",), labels=(("a", ""),), ready=False),
    ServiceCIDR(name="kubernetes", cidrs=("10.96.0.0/12", "fd00::/108")),
    IPPool(name="pool", cidr="10.128.0.0/9", ipip="Always"),
    BlockAffinity(name="node-0-10-128-0-0-26", cidr="10.128.0.0/26", node="node-0"),
    IPAMBlock(name="10-128-0-0-26", cidr="10.128.0.0/26", node="node-0", borrowed=((b"\n\x80\0\1", "node-1"),)),
    BGPConfiguration(name="default", service_cluster_ips=("10.96.0.0/12",), mesh=False),
    BGPPeer(name="switch", address=b"\xc0\xa8\x30\xfe", asn=65200, node_selector="all()"),
    CalicoNode(name="node-0", addresses=(b"\xc0\xa8\x30\1",), labels=(("a", "b"),)),
    CiliumNode(name="node-0", addresses=(b"\xc0\xa8\x30\1",), pod_cidrs=("10.128.0.0/24",)),
    FlannelConfiguration(namespace="kube-flannel", name="kube-flannel-cfg", networks=("10.244.0.0/16",), mtu=1450),
    ClusterConfiguration(namespace="kube-system", name="kubeadm-config", service_cidrs=("10.96.0.0/12",)),
]
SAVED_AT = 1_763_640_000.25


def written(objects: list[Object], saved_at: float = SAVED_AT) -> bytes:
    """A whole snapshot."""
    return b"".join(snapshot.write(objects, saved_at))


SMALL = written(EACH_KIND)


def sealed(body: bytes) -> bytes:
    """Octets with a checksum that fits them."""
    return body + hashlib.sha256(body).digest()


def by_key(objects: list[Object]) -> list[Object]:
    """In an order of their own."""
    return sorted(objects, key=lambda obj: obj.key)


@pytest.mark.parametrize("count", [0, 1, snapshot.CHUNK, snapshot.CHUNK + 1, 3 * snapshot.CHUNK])
def test_what_was_written_comes_back(count: int) -> None:
    """Objects of every kind, in any number, with the time."""
    objects = EACH_KIND * bool(count) + [Namespace(name=f"ns-{number}") for number in range(count)]
    found = snapshot.read(written(objects))
    assert isinstance(found, Snapshot)
    assert found.saved_at == SAVED_AT
    assert by_key(found.objects) == by_key(objects)


def test_pieces_are_small() -> None:
    """No step of writing takes more than a few objects, so that questions are answered in between."""
    many: list[Object] = [Namespace(name=f"ns-{number:04}") for number in range(1000)]
    pieces = list(snapshot.write(many, SAVED_AT))
    assert len(pieces) > 1000 / snapshot.CHUNK
    assert max(map(len, pieces)) < len(written(many)) / 10


def test_every_truncation() -> None:
    """A snapshot of which the end is missing is refused, wherever it ends."""
    taken = [size for size in range(len(SMALL)) if isinstance(snapshot.read(SMALL[:size]), Snapshot)]
    assert taken == []


def test_every_octet_changed() -> None:
    """A snapshot with one octet that is another is refused, whichever it is."""
    for place in range(len(SMALL)):
        for change in (0x01, 0x80, 0xFF):
            damaged = bytearray(SMALL)
            damaged[place] ^= change
            assert isinstance(snapshot.read(bytes(damaged)), Damaged), (place, change)


@given(st.data())
def test_damage_of_any_shape(data: st.DataObject) -> None:
    """Octets replaced, put in or taken out anywhere: refused, unless nothing was changed."""
    start = data.draw(st.integers(0, len(SMALL)))
    end = data.draw(st.integers(start, len(SMALL)))
    damaged = SMALL[:start] + data.draw(st.binary(max_size=64)) + SMALL[end:]
    assert isinstance(snapshot.read(damaged), Snapshot) is (damaged == SMALL)


@given(st.binary(max_size=200))
@example(msgspec.msgpack.encode([0, 0]))
def test_content_of_somebody_else(content: bytes) -> None:
    """Content that the checksum fits but that is none of ours is refused, not an error of the program."""
    for body in (content, snapshot.MAGIC + content, snapshot.MAGIC + len(content).to_bytes(4, "big") + content):
        found = snapshot.read(sealed(body))
        if isinstance(found, Snapshot):  # three octets are enough for one of ours: a time, and no objects
            assert (found.objects, msgspec.msgpack.decode(content)) == ([], [found.saved_at, 0])
        else:
            assert isinstance(found, Damaged)


def frame(value: object) -> bytes:
    """A frame as the format has it."""
    octets = msgspec.msgpack.encode(value)
    return len(octets).to_bytes(4, "big") + octets


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (SMALL[:-32].replace(b"snapshot 3", b"snapshot 2"), "version"),
        (snapshot.MAGIC + frame([SAVED_AT, 1]), "1 objects promised, 0 found"),
        (snapshot.MAGIC + frame([SAVED_AT, 0]) + frame(["Service", [{"name": "web"}]]), "0 objects promised, 1 found"),
        (snapshot.MAGIC + frame([SAVED_AT, 1]) + frame(["Secret", [{"name": "web"}]]), "does not fit"),
        (snapshot.MAGIC + frame([SAVED_AT, 1]) + frame(["Service", [{"namespace": "shop"}]]), "does not fit"),
        (snapshot.MAGIC + frame(["now", 0]), "does not fit"),
        (snapshot.MAGIC + b"\xff\xff\xff\xff", "does not fit"),
        (snapshot.MAGIC, "does not fit"),
    ],
)
def test_content_that_does_not_fit(body: bytes, problem: str) -> None:
    """With a right checksum: another version, another count, another kind, a missing field, a wrong type."""
    found = snapshot.read(sealed(body))
    assert isinstance(found, Damaged)
    assert problem in found.problem
