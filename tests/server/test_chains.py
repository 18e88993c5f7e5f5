"""The program in front of corporate DNS servers whose names are aliases of cluster names and of each other's.

knot.example       Knot DNS, which does not recurse: NOERROR and the bare alias
bind.example       BIND, which recurses and knows other things of cluster.local than the cluster, or NXDOMAIN
refused.example    BIND, which refuses recursion: NOERROR, the bare alias, and an extended error
unbound.example    unbound, which has the alias as local data
lab.example        another Knot
dead.example       a closed port
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.support.bind import Bind
from tests.support.certificates import Authority
from tests.support.knot import Knot
from tests.support.program import ROOT, TRANSPORTS, Program, Transport, closed_port, eventually, records
from tests.support.started import run
from tests.support.unbound import Unbound

pytestmark = pytest.mark.needs("knotd", "named", "unbound")

EXAMPLE = ROOT / "dnsbridge" / "example" / "cluster.yaml"
WEB, KAFKA = "web.shop.svc.cluster.local.", "kafka-0.kafka.data.svc.cluster.local."
HEAD = """$ORIGIN {zone}.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
"""
NAMES = {
    "app": WEB,
    "kafka": KAFKA,
    "alias": "web.shop.svc.dev.k8s.corp.",
    "gone": "none.shop.svc.cluster.local.",
    "inlab": "host.lab.example.",
    "far": "further.lab.example.",
    "dead": "host.dead.example.",
    "self": "self.{zone}.",
    "there": "back.lab.example.",
    "external": "docs.shop.svc.cluster.local.",
}
LAB = (
    HEAD.format(zone="lab.example")
    + "host A 192.0.2.100\nfurther CNAME web.shop.svc.cluster.local.\n"
    + "".join(f"back.{zone} CNAME there.{zone}.example.\n" for zone in ("knot", "bind", "refused", "unbound"))
    + "back CNAME there.knot.example.\n"
)
OTHER_TRUTH = HEAD.format(zone="cluster.local") + "web.shop.svc A 192.0.2.66\n"
ZONES = ("knot", "bind", "refused", "unbound")


def corporate(zone: str) -> str:
    """The master file of a zone that is full of aliases."""
    aliases = "".join(f"{name} CNAME {target.format(zone=zone)}\n" for name, target in NAMES.items())
    return f"{HEAD.format(zone=zone)}{aliases}dn DNAME shop.svc.cluster.local.\nsub NS ns.sub\nns.sub A 192.0.2.54\n"


def start(running: ExitStack, folder: Path, manifests: Path) -> dict[str, Any]:
    """The upstreams, and the settings that lead to them."""
    authority = Authority()
    ca = authority.write(folder / "ca.pem")
    certificate, key = authority.write_server(folder, "dns.test")
    local_data = [
        f"{name}.unbound.example. 300 CNAME {to.format(zone='unbound.example')}" for name, to in NAMES.items()
    ]
    knot = running.enter_context(Knot(folder / "knot", {"knot.example": corporate("knot.example")}))
    lab = running.enter_context(Knot(folder / "lab", {"lab.example": LAB}))
    zones = {"bind.example": corporate("bind.example"), "cluster.local": OTHER_TRUTH}
    bind = running.enter_context(Bind(folder / "bind", zones, recursion=True))
    refused = Bind(folder / "refused", {"refused.example": corporate("refused.example")}, recursion=False)
    running.enter_context(refused)
    unbound = running.enter_context(Unbound(folder, certificate, key, local_data))
    closed = running.enter_context(closed_port())
    upstreams = {
        "knot.example": f"127.0.0.1:{knot.port}",
        "bind.example": f"127.0.0.1:{bind.port}",
        "refused.example": f"127.0.0.1:{refused.port}",
        "lab.example": f"127.0.0.1:{lab.port}",
        "dead.example": f"127.0.0.1:{closed.getsockname()[1]}",
    }
    forward: list[dict[str, Any]] = [{"zone": zone, "upstreams": [address]} for zone, address in upstreams.items()]
    over_tls = f"tls://127.0.0.1:{unbound.port}#dns.test"
    forward.append({"zone": "unbound.example", "upstreams": [over_tls], "ca": str(ca)})
    cluster = {"name": "dev", "aliases": ["dev.k8s.corp"], "fallback": "never", "source": {"manifests": str(manifests)}}
    return {"clusters": [cluster], "forward": forward}


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The settings, while all upstreams run."""
    folder = tmp_path_factory.mktemp("chains")
    manifests = folder / "manifests"
    manifests.mkdir()
    shutil.copy(EXAMPLE, manifests)
    with ExitStack() as running:
        yield start(running, folder, manifests)


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def program(configured: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Program]:
    """The program in front of them."""
    with Program(settings={**configured, "workers": request.param}, upstreams=None, http=True) as running:
        yield running


def lines(message: dns.message.Message) -> list[str]:
    """The answer section, owner, type and data."""
    found = [line.split(None, 4) for line in records(message.answer)]
    return [f"{owner} {rtype} {data}" for owner, _, _, rtype, data in found]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("name", "rtype", "rcode", "expected", "soa"),
    [
        ("app", "A", "NOERROR", [f"@ CNAME {WEB}", f"{WEB} A 10.96.12.34"], ""),
        ("app", "AAAA", "NOERROR", [f"@ CNAME {WEB}"], "cluster.local."),
        ("kafka", "A", "NOERROR", [f"@ CNAME {KAFKA}", f"{KAFKA} A 10.244.0.50"], ""),
        (
            "alias",
            "A",
            "NOERROR",
            ["@ CNAME web.shop.svc.dev.k8s.corp.", "web.shop.svc.dev.k8s.corp. A 10.96.12.34"],
            "",
        ),
        ("gone", "A", "NXDOMAIN", ["@ CNAME none.shop.svc.cluster.local."], "cluster.local."),
        ("inlab", "A", "NOERROR", ["@ CNAME host.lab.example.", "host.lab.example. A 192.0.2.100"], ""),
        ("inlab", "TXT", "NOERROR", ["@ CNAME host.lab.example."], "lab.example."),
        (
            "far",
            "A",
            "NOERROR",
            ["@ CNAME further.lab.example.", f"further.lab.example. CNAME {WEB}", f"{WEB} A 10.96.12.34"],
            "",
        ),
        (
            "external",
            "A",
            "NOERROR",
            ["@ CNAME docs.shop.svc.cluster.local.", "docs.shop.svc.cluster.local. CNAME www.example.com."],
            "",
        ),
        ("app", "CNAME", "NOERROR", [f"@ CNAME {WEB}"], ""),
        ("dead", "A", "SERVFAIL", [], ""),
        ("self", "A", "SERVFAIL", [], ""),
    ],
)
def test_chains(
    program: Program,
    transport: Transport,
    zone: str,
    name: str,
    rtype: str,
    rcode: str,
    expected: list[str],
    soa: str,
) -> None:
    """Each chain is finished as the cluster and the zones have it, whatever its upstream says of names of others."""
    asked = f"{name.title()}.{zone}.example"
    for _ in range(3):  # from the upstream, from the cache, ready-made
        got = program.ask(asked, rtype, transport, edns=True)
        assert dns.rcode.to_text(got.rcode()) == rcode
        assert lines(got) == [line.replace("@", f"{asked}.") for line in expected]
        assert not got.flags & (dns.flags.AD | dns.flags.AA)
        if soa:
            assert [rrset.name.to_text() for rrset in got.authority] == [soa]
        assert bool(got.extended_errors()) is (rcode == "SERVFAIL")
        ttls = {rrset.name.to_text(): rrset.ttl for rrset in got.answer}
        assert all(ttl == 5 for owner, ttl in ttls.items() if owner in (WEB, KAFKA))
        assert all(0 < ttl <= 300 for ttl in ttls.values())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_loop_between_zones(program: Program, transport: Transport) -> None:
    """Names of two zones that lead to each other are SERVFAIL, with the reason."""
    got = program.ask("there.knot.example", "A", transport, edns=True)
    assert (got.rcode(), got.answer) == (dns.rcode.SERVFAIL, [])
    assert "comes back" in str(got.extended_errors()[0].text)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", ["x.sub.knot.example", "x.sub.refused.example"])
def test_referrals(program: Program, transport: Transport, name: str) -> None:
    """A referral is SERVFAIL that says that the upstream does not recurse; who wants no recursion gets it as it is."""
    got = program.ask(name, "A", transport, edns=True)
    assert (got.rcode(), got.authority) == (dns.rcode.SERVFAIL, [])
    assert "does not recurse" in str(got.extended_errors()[0].text)
    query = dns.message.make_query(name, "A", flags=0)
    passed = program.exchange(query, transport)
    assert (passed.rcode(), len(passed.authority)) == (dns.rcode.NOERROR, 1)


@pytest.mark.parametrize("zone", ["knot", "bind", "refused"])
def test_dname(program: Program, zone: str) -> None:
    """A DNAME over a part of the cluster leads each name below it there."""
    got = program.ask(f"web.dn.{zone}.example", "A")
    assert lines(got) == [
        f"dn.{zone}.example. DNAME shop.svc.cluster.local.",
        f"web.dn.{zone}.example. CNAME {WEB}",
        f"{WEB} A 10.96.12.34",
    ]


def test_how_chains_end_is_counted(program: Program) -> None:
    """Metrics count the chains that were finished here, and those that came back to themselves."""
    program.ask("there.knot.example", "TXT")
    program.ask("gone.knot.example", "TXT")
    eventually(lambda: program.metrics()['dnsbridge_chains_total{end="loop"}'] >= 1)
    assert program.metrics()['dnsbridge_chains_total{end="answered"}'] >= 1


def test_a_change_of_the_cluster_is_seen_at_once(configured: dict[str, Any], tmp_path: Path) -> None:
    """What a service changes to is in the answers for its corporate alias as soon as in those for its own name."""
    manifests = tmp_path / "cluster.yaml"
    text = EXAMPLE.read_text(encoding="utf-8")
    manifests.write_text(text, encoding="utf-8")
    clusters = [{**configured["clusters"][0], "source": {"manifests": str(manifests)}}]
    asked = [f"app.{zone}.example" for zone in ZONES]
    with Program(settings={**configured, "clusters": clusters}, upstreams=None) as program:
        for name in asked * 3:
            assert lines(program.ask(name))[1] == f"{WEB} A 10.96.12.34"
        manifests.write_text(text.replace("10.96.12.34", "10.96.12.35"), encoding="utf-8")
        eventually(lambda: lines(program.ask(WEB)) == [f"{WEB} A 10.96.12.35"])
        for name in asked:
            assert lines(program.ask(name))[1] == f"{WEB} A 10.96.12.35"


@pytest.mark.parametrize(
    ("name", "code", "links"),
    [
        (
            "far.knot.example",
            0,
            [
                ("far.knot.example.", "further.lab.example.", "forward", "forward zone knot.example. goes to"),
                ("further.lab.example.", WEB, "forward", "forward zone lab.example. goes to"),
                (WEB, "", "cluster", "a service: its ClusterIPs"),
            ],
        ),
        (
            "there.knot.example",
            1,
            [
                ("there.knot.example.", "back.lab.example.", "forward", "forward zone knot.example. goes to"),
                ("back.lab.example.", "there.knot.example.", "forward", "forward zone lab.example. goes to"),
                ("there.knot.example.", "", "forward", "forward zone knot.example. goes to"),
            ],
        ),
        (WEB, 0, []),
    ],
)
def test_lookup_shows_every_link(
    configured: dict[str, Any], tmp_path: Path, name: str, code: int, links: list[tuple[str, ...]]
) -> None:
    """`lookup` says of each link where it comes from and why, also of a chain that does not end."""
    config = tmp_path / "dnsbridge.yaml"
    config.write_text(json.dumps(configured), encoding="utf-8")
    words = ["lookup", name, "--config", str(config)]
    done = run(*words, "--output", "json")
    assert done.returncode == code, done.stderr
    found = json.loads(done.stdout)["links"]
    assert [(each["name"], each["target"], each["source"]) for each in found] == [each[:3] for each in links]
    assert all(each[3] in one["because"] for each, one in zip(links, found, strict=True))
    table = run(*words).stdout
    assert sum(line.startswith("link: ") for line in table.splitlines()) == len(links)
