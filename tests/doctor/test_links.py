"""The doctor's judgement: facts of a name that works, one of them changed, and the link that is broken then."""

from typing import Any

import pytest
from msgspec import structs

from dnsbridge.doctor.chain import diagnose, is_broken
from dnsbridge.doctor.facts import Connect, Facts, Planned, Record, Reply, Scope, Service, Source, Trail, Way
from dnsbridge.doctor.link import State

NAME, ADDRESS, OFFICE = "web.shop.svc.cluster.local", "10.96.12.34", "10.0.0.53"
WAY = Way(ADDRESS, "unicast", "10.96.0.0/16", "10.0.0.10", "eth0", "dnsbridge", "", "reachable")
GOOD = Facts(
    NAME,
    settings_from="dnsbridge.yaml",
    here=Reply("127.0.0.1", "NOERROR", (ADDRESS,)),
    sources=(Source("dev", "https://10.0.0.1:6443", fresh=True),),
    record=Record("NOERROR", "cluster", "dev", "a service: its ClusterIPs", ("Service shop/web",), (ADDRESS,)),
    service=Service("shop/web", "ClusterIP", 3, 0, (80,)),
    resolvers=(Reply(OFFICE, "NOERROR", (ADDRESS,)),),
    name_servers=(OFFICE,),
    nsswitch=("files", "dns"),
    system=Reply("this host", "NOERROR", (ADDRESS,)),
    ways=(WAY,),
    connects=(Connect(ADDRESS, 80, "open", 0.0012, mtu=1500),),
)
DEFAULT = structs.replace(WAY, prefix="0.0.0.0/0", via="10.0.0.1", owner="dhcp")


def office(rcode: str, *addresses: str, errors: tuple[str, ...] = (), problem: str = "") -> dict[str, Any]:
    """What the office resolver says instead; programs of this host get the same."""
    reply = Reply(OFFICE, rcode, addresses, problem, errors)
    return {"resolvers": (reply,), "system": Reply("this host", problem="name or service not known")}


def wrong(rcode: str, **changes: Any) -> dict[str, Any]:
    """The same with what more is known of the wrong answer."""
    return {**office(rcode), "resolvers": (Reply(OFFICE, rcode, **changes),)}


def service(**changes: Any) -> dict[str, Any]:
    """Another service."""
    assert GOOD.service
    return {"service": structs.replace(GOOD.service, **changes)}


PLANNED = Planned({ADDRESS: ("10.0.0.10", "10.0.0.11")}, frozenset({"10.0.0.10", "10.0.0.11", "10.0.0.12"}))


def way(**changes: Any) -> dict[str, Any]:
    """Another way."""
    return {"ways": (structs.replace(WAY, **changes),)}


def connect(result: Any, **changes: Any) -> dict[str, Any]:
    """Another end of the connection."""
    return {"connects": (Connect(ADDRESS, 80, result, **changes),)}


def silent(**changes: Any) -> dict[str, Any]:
    """Nothing comes back, and how far packets get."""
    return {**connect("silent"), "trails": (Trail(ADDRESS, "10.0.0.2", **changes),)}


LINK = Scope("eth0", (OFFICE,), ("corp.example",), (Reply(OFFICE, "NOERROR", (ADDRESS,)),))
NOBODY = {"system": Reply("this host", problem="name or service not known")}


def resolved(reply: Reply, *scopes: Scope) -> dict[str, Any]:
    """A host that asks systemd-resolved, which has these scopes."""
    return {**NOBODY, "resolvers": (reply,), "name_servers": ("127.0.0.53",), "scopes": scopes}


BROKEN: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "settings": ({"settings": "dnsbridge.yaml:3: clustres: no such key"}, "settings", "cannot be used", "config check"),
    "a source that cannot be read": (
        {"sources": (Source("dev", "kubeconfig /k, context c", False, "not read: services (no answer yet)"),)},
        "source",
        "cluster dev cannot be read",
        "kubectl --kubeconfig /k --context c get --raw /readyz,",
    ),
    "manifests that cannot be read": (
        {"sources": (Source("dev", "manifests /m", False, "/m: permission denied"),)},
        "source",
        "cluster dev cannot be read",
        "ls -l /m,",
    ),
    "a cluster that is not read": (
        {
            "sources": (Source("dev", "the pod's service account", False, "not read: services (no answer yet)"),),
            "record": Record("SERVFAIL", "cluster", "dev", "the cluster has not been read yet"),
            "service": None,
            **office("SERVFAIL"),
        },
        "source",
        "cluster dev cannot be read",
        "kubectl get --raw /readyz,",
    ),
    "a stale source": ({"sources": (Source("dev", "https://10.0.0.1:6443", False),)}, "source", "is old", "/readyz"),
    "a name that is not there": (
        {"record": Record("NXDOMAIN", "cluster", "dev", "no service wbe", nearest=(NAME,)), "service": None},
        "object",
        f"there is no such name; {NAME} there is",
        f"dnsbridge doctor {NAME}",
    ),
    "a name like none": (
        {"record": Record("NXDOMAIN", "cluster", "dev", "no service x"), "service": None},
        "object",
        "there is no such name",
        "kubectl get services --all-namespaces",
    ),
    "a bare word": (
        {"name": "web", "search": ("corp.example",), "record": None, "service": None, **office("NXDOMAIN")},
        "object",
        "only a search list makes a name of a bare word",
        "dnsbridge doctor web.NAMESPACE.svc.cluster.local",
    ),
    "no pods": (service(ready=0), "endpoints", "no pod is behind it", "describe service web"),
    "a headless service without ready pods": (
        {
            "record": Record("NXDOMAIN", "cluster", "dev", "no service web"),
            **service(kind="headless", ready=0, not_ready=2),
        },
        "endpoints",
        "none of its 2 endpoints is ready",
        "describe service",
    ),
    "pods not ready": (
        service(ready=0, not_ready=2),
        "endpoints",
        "none of its 2 endpoints is ready",
        "describe service",
    ),
    "no upstream": (
        {"record": Record("SERVFAIL", "forward", "", "no upstream gave an answer"), "service": None},
        "answer",
        "nobody who is asked",
        "config show",
    ),
    "another server at our port": (
        {"here": Reply("127.0.0.1", "NXDOMAIN")},
        "answer",
        "another program has its port",
        "ss -lnptu",
    ),
    "an office resolver that is silent": (
        office("", problem="no answer within 3 s"),
        "resolver",
        "does not answer",
        f"dig @{OFFICE} {NAME}",
    ),
    "not forwarded": (office("NXDOMAIN"), "resolver", "does not forward the name", "dnsbridge clients"),
    "rebinding protection": (office("NOERROR"), "resolver", "strips private addresses", "dnsbridge clients"),
    "validation": (
        office("SERVFAIL", errors=("6 DNSSEC Bogus",)),
        "resolver",
        "validates with DNSSEC",
        "dnsbridge clients",
    ),
    "validation without extended errors": (
        wrong("SERVFAIL", unchecked=(ADDRESS,)),
        "resolver",
        "validates with DNSSEC",
        "dnsbridge clients",
    ),
    "rebinding protection that fails": (
        wrong("SERVFAIL", has_zone=True),
        "resolver",
        "strips private addresses",
        "dnsbridge clients",
    ),
    "a negative cache": (
        wrong("NXDOMAIN", has_zone=True),
        "resolver",
        f"remembers from before that there was no {NAME}",
        "flush its cache",
    ),
    "resolved and .local": (
        resolved(Reply("127.0.0.53", "REFUSED"), LINK),
        "resolver",
        f"asks nobody for names below .local (RFC 6762), unless a domain sends them to {OFFICE}",
        "resolvectl domain eth0 'corp.example' '~cluster.local';",
    ),
    "resolved and a nearer domain": (
        resolved(Reply("127.0.0.53", "NXDOMAIN"), LINK, Scope("tun0", ("10.8.0.1",), ("~.", "~local"))),
        "resolver",
        f"asks for it on tun0, because of the domain ~local, and not {OFFICE}",
        "resolvectl domain eth0 'corp.example' '~cluster.local';",
    ),
    "resolved with one server for all links": (
        resolved(Reply("127.0.0.53", "REFUSED"), structs.replace(LINK, link="")),
        "resolver",
        "asks nobody for names below .local",
        f"the lines [Resolve], DNS={OFFICE}, Domains=corp.example ~cluster.local in /etc/systemd/resolved.conf.d/",
    ),
    "resolved before a server that does not forward": (
        resolved(
            Reply("127.0.0.53", "NXDOMAIN"),
            structs.replace(LINK, domains=("~cluster.local",), replies=(Reply(OFFICE, "NXDOMAIN"),)),
        ),
        "resolver",
        "does not forward the name",
        "dnsbridge clients",
    ),
    "resolved with a negative cache": (
        resolved(Reply("127.0.0.53", "NXDOMAIN"), structs.replace(LINK, domains=("~Cluster.Local",))),
        "resolver",
        "remembers from before",
        "resolvectl flush-caches",
    ),
    "resolved by nsswitch.conf alone": (
        {**NOBODY, "nsswitch": ("files", "resolve", "[!UNAVAIL=return]", "dns"), "scopes": (LINK,)},
        "this host",
        "asks nobody for names below .local",
        "resolvectl domain eth0 'corp.example' '~cluster.local'",
    ),
    "a search list in between": (
        {
            "system": Reply("this host", "NOERROR", ("192.0.2.1",)),
            "absolute": Reply("this host", "NOERROR", (ADDRESS,)),
            "search": ("corp.example",),
            "ndots": 5,
        },
        "this host",
        "the search list (corp.example) comes before the name itself (ndots:5 in resolv.conf)",
        "options ndots:4 in /etc/resolv.conf",
    ),
    "our own server is not there": (
        {
            "here": Reply("127.0.0.1", problem="connection refused"),
            "resolvers": (Reply("127.0.0.1", problem="connection refused"),),
            "name_servers": ("127.0.0.1",),
            **NOBODY,
        },
        "server",
        "this host's programs ask 127.0.0.1, and no dnsbridge runs there",
        "systemctl start dnsbridge",
    ),
    "servfail": (office("SERVFAIL"), "resolver", "cannot get the answer (SERVFAIL)", f"dig @DNSBRIDGE {NAME}"),
    "refused": (office("REFUSED"), "resolver", "does not answer this host", "allow-query"),
    "an older answer": (office("NOERROR", "10.96.0.9"), "resolver", "older answer", "TTL"),
    "mDNS": (
        {
            "nsswitch": ("files", "mdns4_minimal", "[NOTFOUND=return]", "dns"),
            "system": Reply("this host", problem="name or service not known"),
        },
        "this host",
        "asks mdns4_minimal before dns",
        "put dns before that word",
    ),
    "a hosts file": (
        {"system": Reply("this host", "NOERROR", ("192.0.2.1",)), "search": ("corp.example",)},
        "this host",
        "another answer than its name servers give",
        f"getent ahosts {NAME}; see /etc/hosts",
    ),
    "other name servers": (
        {"name_servers": ("192.0.2.53",), "system": Reply("this host", problem="name or service not known")},
        "this host",
        f"asks other name servers (192.0.2.53) than {OFFICE}",
        f"put nameserver {OFFICE} into /etc/resolv.conf",
    ),
    "programs that do not find it": (
        {"system": Reply("this host", problem="temporary failure")},
        "this host",
        "do not find the name",
        "resolvectl query",
    ),
    "no route": (way(kind="none", prefix="", via="", device=""), "route", "no route to the address", "routes plan"),
    "a blackhole": (
        way(kind="blackhole", owner="static"),
        "route",
        "throws its packets away",
        "ip route del blackhole 10.96.0.0/16",
    ),
    "a route set by hand": (
        {**way(owner="boot", via="10.0.0.66"), **connect("silent"), "planned": PLANNED},
        "route",
        "somebody else's route takes the packets; the plan says via 10.0.0.10 or 10.0.0.11",
        "ip route del 10.96.0.0/16 via 10.0.0.66, if nobody needs it; then dnsbridge routes plan",
    ),
    "a route of ours that is old": (
        {**way(via="10.0.0.12"), **connect("unreachable", problem="no route to host"), "planned": PLANNED},
        "route",
        "the route is ours, and old: the plan says via 10.0.0.10 or 10.0.0.11",
        "dnsbridge routes apply",
    ),
    "ClusterIPs that Calico does not announce": (
        {**connect("silent"), "ways": (DEFAULT,), "unannounced": "10.96.0.0/16"},
        "route",
        "Calico announces pods over BGP and no ClusterIPs",
        "add serviceClusterIPs: [{cidr: 10.96.0.0/16}] to it",
    ),
    "a VPN that takes the prefix": (
        {**connect("silent"), **way(prefix="10.0.0.0/8", via="", device="tun0", device_kind="tun", owner="boot")},
        "route",
        "a tunnel takes the packets (tun0)",
        "leave 10.0.0.0/8 out of the VPN",
    ),
    "a dead next hop": (way(neighbour="failed"), "next hop", "nobody answers for 10.0.0.10", "ip neigh show 10.0.0.10"),
    "a dead host on link": (
        way(via="", neighbour="incomplete"),
        "next hop",
        f"nobody answers for {ADDRESS}",
        "ip neigh",
    ),
    "a closed port": (connect("refused", seconds=0.001), "connection", "nothing listens at the port", "--port"),
    "a router that knows no way": (
        connect("unreachable", problem="no route to host"),
        "connection",
        "a router on the way says",
        "routes plan",
    ),
    "silence for a ClusterIP": (connect("silent"), "connection", "does not forward ClusterIPs", "net.ipv4.ip_forward"),
    "silence for a pod": (
        {**connect("silent"), **service(kind="headless")},
        "connection",
        "a NetworkPolicy drops them",
        "ip route get",
    ),
    "silence and rp_filter": (
        {**connect("silent"), "turned_away": 3, "strict": ("eth0", "eth1")},
        "connection",
        "replies come by another device than eth0, and this host drops them (3 by rp_filter)",
        "sysctl -w net.ipv4.conf.eth1.rp_filter=2",
    ),
    "a filtered port": (
        silent(arrives=True),
        "connection",
        "packets get to 10.96.12.34 and back, and TCP port 80 is silent",
        "kubectl get networkpolicies",
    ),
    "a filtered port by the default route": (
        {**silent(arrives=True), "ways": (DEFAULT,)},
        "connection",
        "packets get to 10.96.12.34 and back, and TCP port 80 is silent",
        "kubectl get networkpolicies",
    ),
    "silence behind a router": (
        silent(routers=("10.0.0.10", "10.0.1.1"), next_hop_answers=True),
        "connection",
        "packets get lost behind 10.0.1.1, which passes them on",
        f"on the node of {ADDRESS}: ip route get 10.0.0.2",
    ),
    "a next hop that does not forward": (
        silent(next_hop_answers=True),
        "connection",
        f"10.0.0.10 answers, and does not forward packets to {ADDRESS}",
        "on 10.0.0.10: sysctl -w net.ipv4.ip_forward=1",
    ),
    "a next hop without a way back": (
        silent(),
        "connection",
        "10.0.0.10 sends nothing back, so it has no way back to this host",
        "on 10.0.0.10: ip route get 10.0.0.2",
    ),
    "a black hole for large packets": (
        connect("open", mtu=1500, fits=1450),
        "path MTU",
        "drops large packets, and the ICMP message that would say so",
        f"ip route add {ADDRESS} via 10.0.0.10 dev eth0 mtu 1450",
    ),
}


def test_one_fault_is_one_link() -> None:
    """Where packets end already the connection is not called broken too."""
    for changes, link in (
        (way(kind="none"), "route"),
        (way(kind="blackhole"), "route"),
        (way(neighbour="failed"), "next hop"),
        ({"ways": (DEFAULT,)}, "route"),
        (way(device="tun0", device_kind="tun", owner="static"), "route"),
        (service(ready=0), "endpoints"),
    ):
        found = states(structs.replace(GOOD, **changes, **connect("silent")))
        assert [name for name, state in found.items() if state is State.FAILED] == [link]
        assert found["connection"] is State.UNKNOWN
    refused = structs.replace(GOOD, **service(ready=0), **connect("refused"))
    assert [name for name, state in states(refused).items() if state is State.FAILED] == ["endpoints"]


def states(facts: Facts) -> dict[str, State]:
    """The state of each link."""
    return {each.link: each.state for each in diagnose(facts)}


def test_all_well() -> None:
    """Every link holds."""
    assert set(states(GOOD).values()) == {State.OK}
    assert not is_broken(diagnose(GOOD))


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_link(case: str) -> None:
    """The link that was broken is named alone, with its cause and what mends it."""
    changes, link, cause, mend = BROKEN[case]
    found = [each for each in diagnose(structs.replace(GOOD, **changes)) if each.state is State.FAILED]
    assert [each.link for each in found] == [link]
    assert cause in found[0].cause
    assert mend in found[0].mend


UNKNOWN: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no server here": ({"here": Reply("127.0.0.1", problem="no answer within 3 s")}, {"server"}),
    "no cluster here": (
        {"sources": (), "record": None, "service": None},
        {"source", "object", "endpoints"},
    ),
    "a name of the office": (
        {"record": Record("NOERROR", "forward", "", "no cluster has this name", (), (ADDRESS,)), "service": None},
        {"object", "endpoints"},
    ),
    "no name server": ({"resolvers": (), "name_servers": ()}, {"resolver"}),
    "nothing but the name": (
        {
            "here": None,
            "sources": (),
            "record": None,
            "service": None,
            "resolvers": (),
            "system": None,
            "ways": (),
            "connects": (),
        },
        {
            "server",
            "source",
            "object",
            "endpoints",
            "answer",
            "resolver",
            "this host",
            "route",
            "next hop",
            "connection",
            "path MTU",
        },
    ),
    "the default route, no port": ({"ways": (DEFAULT,), "connects": ()}, {"route", "connection", "path MTU"}),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_cannot_be_seen(case: str) -> None:
    """Links of which nothing is known are not called broken, and all others hold."""
    changes, links = UNKNOWN[case]
    found = states(structs.replace(GOOD, **changes))
    assert {link for link, state in found.items() if state is State.UNKNOWN} == links
    assert State.FAILED not in found.values()


@pytest.mark.parametrize(("result", "state"), [("open", "ok"), ("refused", "ok"), ("silent", "failed")])
def test_the_default_route(result: str, state: str) -> None:
    """Whether it will do only a connection shows."""
    found = states(structs.replace(GOOD, ways=(DEFAULT,), **connect(result)))
    assert found["route"] == state


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(way(owner="bird", via="10.0.0.66"), id="a routing daemon knows its way"),
        pytest.param(way(via="10.0.0.66"), id="ours, by a gateway that somebody named"),
        pytest.param(way(owner="boot", via="10.0.0.11"), id="by hand, and as planned"),
        pytest.param(way(owner="boot", via=""), id="on the link"),
    ],
)
def test_another_way_that_may_be_right(changes: dict[str, Any]) -> None:
    """Nothing comes back, and the route is not to blame."""
    found = states(structs.replace(GOOD, **changes, **connect("silent"), planned=PLANNED))
    assert [name for name, state in found.items() if state is State.FAILED] == ["connection"]


def test_another_way_that_works() -> None:
    """Whoever set it: it is a way."""
    assert states(structs.replace(GOOD, **way(owner="boot", via="10.0.0.66"), planned=PLANNED))["route"] is State.OK


def test_a_tunnel_on_the_way() -> None:
    """The route says so, and a small MTU too."""
    tunnel = structs.replace(WAY, device="tun0", device_kind="tun", owner="static")
    facts = structs.replace(GOOD, ways=(tunnel,), connects=(Connect(ADDRESS, 80, "open", 0.001, mtu=1280),))
    links = {each.link: each for each in diagnose(facts)}
    assert "a tunnel (tun)" in links["route"].evidence
    assert links["path MTU"].evidence == f"1280 octets to {ADDRESS}, so a tunnel is on the way"


def test_half_of_the_addresses_is_enough() -> None:
    """A resolver library leaves a family out that this host cannot use."""
    assert GOOD.record
    both = (ADDRESS, "fd00:10:96::9")
    facts = structs.replace(
        GOOD,
        record=structs.replace(GOOD.record, addresses=both),
        here=Reply("127.0.0.1", "NOERROR", both),
        resolvers=(Reply(OFFICE, "NOERROR", both),),
    )
    assert states(facts)["this host"] is State.OK
