"""Texts as people paste them: of each file of tables/pastes the plan through a gateway, and the plan without one.

After a change that is meant: `DNSBRIDGE_WRITE_GOLDEN=1 pytest tests/routes/test_pastes.py`, and read what differs.
"""

import asyncio
import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from msgspec import structs

from dnsbridge.app.companion.pictures import OwnPictures
from dnsbridge.app.companion.tables import NotRead, read_tables
from dnsbridge.app.companion.wanted import wanted_routes
from dnsbridge.app.read_once import feeds_once
from dnsbridge.cluster.objects import IPPool
from dnsbridge.config import Cluster, Loaded, Settings, Source
from dnsbridge.config.routes import Gateways, Routes
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import Wanted
from dnsbridge.routes.pictures.document import Told
from dnsbridge.routes.tables import reading
from dnsbridge.routes.tables.reading import Refused, Text, read
from tests.routes.support import lines

PASTES = Path(__file__).parent / "tables" / "pastes"
GOLDEN = Path(__file__).parent / "golden" / "pastes"
GATEWAYS = Gateways(addresses=(ip_address("10.9.9.9"), ip_address("fd09::9")))
THROUGH = Routes(via="gateways", gateways=GATEWAYS)
DIRECT = Routes()


def plan(files: list[Path], routes: Routes) -> Wanted:
    """The plan of a place that reaches every address, from these files alone."""
    return planned(Settings(clusters=(), routes=structs.replace(routes, tables=tuple(files))))


def planned(settings: Settings) -> Wanted:
    """The plan of a place that reaches every address."""

    async def work() -> Wanted:
        loaded = Loaded(settings, {})
        async with feeds_once(loaded) as feeds:
            return await wanted_routes(loaded, feeds, Host())

    return asyncio.run(work())


def both(*files: Path) -> Iterator[str]:
    """Both plans as text, without what is said of services."""
    for title, routes in (("through a gateway", THROUGH), ("without a gateway", DIRECT)):
        yield f"-- {title}"
        for line in lines(plan(list(files), routes)):
            if "a table does not say which prefixes services have" not in line:
                yield line


@pytest.mark.parametrize("path", sorted(PASTES.iterdir()), ids=lambda path: path.stem)
def test_plan(path: Path) -> None:
    """A text that somebody pasted gives the plan that was read and found right."""
    text = "".join(f"{line}\n" for line in both(path))
    golden = GOLDEN / f"{path.stem}.txt"
    if os.environ.get("DNSBRIDGE_WRITE_GOLDEN") == "1":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_every_golden_plan_is_checked() -> None:
    """No file of golden/pastes is left over."""
    assert {path.stem for path in GOLDEN.iterdir()} == {path.stem for path in PASTES.iterdir()}


TABLE = """default via 10.0.0.1 dev eth0
10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.5
10.244.2.0/24 via 10.0.0.6 dev eth0 proto bird
10.96.0.0/12 proto bird
\tnexthop via 10.0.0.6 dev eth0 weight 1
\tnexthop via 10.0.0.7 dev eth0 weight 1
"""
ROUTES = {"10.244.2.0/24": ["10.0.0.6"], "10.96.0.0/12": ["10.0.0.6", "10.0.0.7"]}
REMARKS = ("\u2190 this one", "# node 2", "<- gw", "<-- that", "// node 2", "(node 2)", "-- node 2", "; x", "\u21d0")
ADDED = {
    "nothing": TABLE,
    "CRLF": TABLE.replace("\n", "\r\n"),
    "CR": TABLE.replace("\n", "\r"),
    "a mark of Windows": f"\ufeff{TABLE}",
    "tabs": TABLE.replace(" ", "\t"),
    "indentation": "".join(f"      {line}\n" for line in TABLE.splitlines()),
    "no indentation": TABLE.replace("\t", ""),
    "spaces that do not break": TABLE.replace(" ", "\u00a0"),
    "spaces of other widths": TABLE.replace(" ", "\u2009").replace("\t", "\u3000"),
    "spaces without width": TABLE.replace("10.", "\u200b10."),
    "a quotation": "".join(f"> {line}\n" for line in TABLE.splitlines()),
    "a list": TABLE.replace("10.244", "* 10.244").replace("10.96", "- 10.96"),
    "fences": f"```console\n$ ip route\n{TABLE}```\n",
    "fences of a wiki": f"{{code:bash}}\n{TABLE}{{code}}\n",
    "an ellipsis": f"{TABLE}...\n[...]\n......\n\u2026\n",
    "comments": f"# node 1\n// from the wiki\n; of Monday\n-----\n{TABLE}",
    **{
        f"a remark {remark}": TABLE.replace("proto bird\n10.96", f"proto bird {remark}\n10.96")
        for remark in REMARKS
    },
    **{
        f"the prompt {prompt}": f"{prompt}\n{TABLE}"
        for prompt in (
            "$ ip route | grep bird",
            "[root@node1 ~]# ip route",
            "root@node1:~# route -n",
            "root@node1:/etc/calico$ ip r",
            "(kolla) user@node1 ~ % ip route",
            "node1> ip route",
            "node1# ip route",
            "bash-4.2# ip route",
            "$ ssh node1 'ip route'",
            "$ ssh -i key -p 22 root@node1 ip route",
            "# ip route",
            "/ # ip route",
            "~ $ ip route",
            "> ip route",
            "+ ip route",
            "PS C:\\Users\\me> ssh node1 ip route",
            "\u276f ip route",
            "ip route",
            "sudo ip -4 route show table main",
            "node1 | CHANGED | rc=0 >>",
            "==> node1.txt <==",
        )
    },
    "a prompt behind": f"{TABLE}[root@node1 ~]# \n",
}  # fmt: skip


@pytest.mark.parametrize("name", ADDED)
def test_what_people_add(name: str) -> None:
    """What terminals, chats, wikis and people add to a table changes none of its routes, and nothing is left out."""
    found = read(ADDED[name])
    assert isinstance(found, Text)
    assert found.left_out == []
    (host,) = found.hosts
    routes = {str(each.prefix): [str(hop.address) for hop in each.next_hops] for each in host.routes}
    assert {prefix: hops for prefix, hops in routes.items() if prefix in ROUTES} == ROUTES
    assert len(routes) == 4


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    """What Windows saves is read, whichever of its encodings it took."""
    path = tmp_path / "gw.txt"
    path.write_text(TABLE.replace("\n", "\r\n"), encoding=encoding)
    (table,) = read_tables([path]).tables
    assert len(table.routes) == 4


def test_a_remark_is_shown() -> None:
    """A plan says what somebody wrote behind a route, without what would confuse a terminal."""
    text = f"10.244.2.0/24 via 10.0.0.6 dev eth0  # node\x1b[31m 2 {'x' * 100}"
    found = read(text)
    assert isinstance(found, Text)
    assert found.hosts[0].routes[0].text == f"10.244.2.0/24 via 10.0.0.6 dev eth0 (node[31m 2 {'x' * 49})"


HOSTILE = {
    "a line of 10 MB": ("a" * 10_000_000, "over 4096 characters"),
    "blanks": (" " * 10_000_000, "over 4096 characters"),
    "a million lines that say nothing": ("hello world\n" * 1_000_000, "and over 20000 lines like it"),
    "a million beginnings of JSON": ('[{"dst":"\n' * 1_000_000, "and over 20000 lines like it"),
    "many hosts": ("".join(f"root@n{n}:~# ip route\n10.0.0.0/8 dev eth0\n" for n in range(1001)), "over 1000 hosts"),
    "many hosts without names": (
        "".join(f"$ ip route\n10.0.0.0/8 dev eth0 src 10.0.{n >> 8}.{n & 255}\n" for n in range(1001)),
        "over 1000 hosts",
    ),
    "JSON without a bottom": ('[{"a":' * 100_000, "the JSON of this route is not whole"),
    "a value of 10 MB": (f"/calico/ipam/v2/host/n/ipv4/block/10.0.0.0-8\n{{{'1' * 10_000_000}", "over 1048576"),
    "octets": ("".join(map(chr, range(256))) * 1000, "expected"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str) -> None:
    """Whatever its size, a text that is none of the forms is refused with one short line."""
    text, problem = HOSTILE[name]
    found = read(text)
    assert isinstance(found, Refused)
    assert problem in found.problem
    assert len(found.problem) < 300


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("/calico/ipam/v2/host/n/ipv4/block/10.0.0.0-8", "over 100 blocks"),
        ("| Block | 10.0.0.0/26 |", "over 100 blocks"),
        ("10.0.0.0/8 via 10.0.0.1 dev eth0", "over 100 routes"),
    ],
)
def test_too_much(line: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text with more than any cluster has is refused at the line that is too much."""
    monkeypatch.setattr(reading, "MAX_ROUTES", 100)
    monkeypatch.setattr(reading, "MAX_OBJECTS", 100)
    assert isinstance(read(f"{line}\n" * 100), Text)
    assert read(f"{line}\n" * 1000) == Refused(101, problem)


def test_unnamed_hosts_that_cannot_be_told_apart() -> None:
    """Two addresses on one link are two hosts; where nothing stands between them, the second line is left out."""
    link = "10.0.0.0/24 dev eth0 proto kernel scope link src"
    found = read(f"{link} 10.0.0.5\n{link} 10.0.0.6\n")
    assert isinstance(found, Text)
    assert [each.problem for each in found.left_out] == [
        "10.0.0.0/24 is there twice with two addresses: put a prompt or a comment between hosts"
    ]


CASE2 = Path(__file__).parent / "tables" / "case2-gateway.txt"
BY_NODE = {
    "192.244.6.192/26": "10.73.13.3",
    "192.244.70.0/26": "10.73.13.4",
    "192.244.190.128/26": "10.73.13.1",
    "192.244.200.0/26": "10.73.13.1",
}


def ways(found: Wanted) -> dict[str, str]:
    """Next hops by prefix."""
    return {str(each.prefix): " ".join(str(hop.address) for hop in each.next_hops) for each in found.routes}


def test_a_listing_beside_a_table(tmp_path: Path) -> None:
    """A block that only etcd knows goes to its node's address, which the table says of another block of the node."""
    listing = tmp_path / "etcd.txt"
    keys = [
        "ku13-1/ipv4/block/192.244.190.128-26",
        "ku13-1/ipv4/block/192.244.200.0-26",
        "ku13-7/ipv4/block/10.7.0.0-26",
    ]
    listing.write_text("\n\n".join(f"/calico/ipam/v2/host/{key}" for key in keys), encoding="utf-8")
    found = plan([CASE2, listing], DIRECT)
    assert {prefix: hop for prefix, hop in ways(found).items() if prefix in BY_NODE} == BY_NODE
    assert ways(found)["10.7.0.0/26"] == "10.73.13.9"  # the table's own node, which is the gateway
    assert not [str(note) for note in found.notes if note.severity == "error"]


def test_a_listing_beside_printed_nodes(tmp_path: Path) -> None:
    """Nodes as calicoctl or kubectl print them give addresses to the blocks of a listing, in another file."""
    nodes = tmp_path / "nodes.yaml"
    nodes.write_text(
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: ku13-1}\n"
        "spec: {bgp: {ipv4Address: 10.73.13.1/24}}\n"
        "---\napiVersion: v1\nkind: Node\nmetadata: {name: ku13-3}\n"
        "status: {addresses: [{type: InternalIP, address: 10.73.13.3}]}\n",
        encoding="utf-8",
    )
    found = ways(plan([PASTES / "etcd-keys.txt", nodes], DIRECT))
    assert found == {"192.244.6.192/26": "10.73.13.3", "192.244.190.128/26": "10.73.13.1"}


@pytest.mark.parametrize("name", ["etcd-keys.txt", "etcd-values.txt", "ipam-show.txt"])
def test_a_listing_as_manifests(name: str) -> None:
    """A listing that is given as a cluster's manifests says the same blocks."""
    source = Source(manifests=PASTES / name)
    settings = Settings(clusters=(Cluster(source=source),), routes=THROUGH)
    assert ways(planned(settings)) == ways(plan([PASTES / name], THROUGH))


def test_a_listing_beside_a_cluster(tmp_path: Path) -> None:
    """A listing adds its blocks to what the cluster says of its nodes; of two clusters it is open whose they are."""
    nodes = tmp_path / "nodes.yaml"
    node = "apiVersion: v1\nkind: Node\nmetadata: {{name: {}}}\n"
    node += "status: {{addresses: [{{type: InternalIP, address: {}}}]}}\n"
    nodes.write_text(
        "---\n".join([node.format("ku13-1", "10.73.13.1"), node.format("ku13-3", "10.73.13.3")]), encoding="utf-8"
    )
    cluster = Cluster(name="dev", source=Source(manifests=nodes))
    routes = Routes(tables=(PASTES / "etcd-keys.txt",))
    found = ways(planned(Settings(clusters=(cluster,), routes=routes)))
    assert found == {"192.244.6.192/26": "10.73.13.3", "192.244.190.128/26": "10.73.13.1"}
    two = Settings(
        clusters=(cluster, Cluster(name="test", source=Source(manifests=nodes), precedence=1)), routes=routes
    )
    with pytest.raises(NotRead, match=r"^routes.tables: a listing has the blocks of one cluster, and there are "):
        planned(two)


def test_followed_pictures_hold_listings(tmp_path: Path) -> None:
    """What follows a cluster has the blocks of a listing as well, and those of the tables that stand for it."""
    nodes = tmp_path / "nodes.yaml"
    nodes.write_text("apiVersion: v1\nkind: Node\nmetadata: {name: ku13-1}\n", encoding="utf-8")
    cluster = Cluster(name="dev", source=Source(manifests=nodes))

    async def told(*files: Path) -> tuple[Told, ...]:
        settings = Settings(clusters=(cluster,), routes=Routes(tables=files))
        async with feeds_once(Loaded(settings, {})) as feeds:
            pictures = OwnPictures(settings, feeds)
            await pictures.read_tables()
            return pictures.told()

    (listed,) = asyncio.run(told(PASTES / "etcd-keys.txt"))
    assert {str(block.prefix): block.nodes for block in listed.picture.blocks}["192.244.190.128/26"] == ("ku13-1",)
    (both,) = asyncio.run(told(PASTES / "etcd-keys.txt", CASE2))
    assert {"ku13-1", "10.73.13.4"} <= {node.name for node in both.picture.nodes}


def test_a_part_that_is_wrong() -> None:
    """A value of etcd of which a part is no use serves without the part, which is said with its line."""
    spec = '{"cidr":"192.244.0.0/16","ipipMode":"Sometimes"}'
    pool = f'{{"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{{"name":"pool"}},"spec":{spec}}}'
    found = read(f"/calico/resources/v3/projectcalico.org/ippools/pool\n{pool}\n")
    assert isinstance(found, Text)
    (kept,) = found.objects
    assert isinstance(kept, IPPool)
    assert (kept.cidr, kept.ipip) == ("192.244.0.0/16", "Never")
    assert [(each.line, each.is_route) for each in found.left_out] == [(2, False)]
    assert found.left_out[0].problem.startswith("spec.ipipMode: ")
