"""This host has a route to each address."""

from dnsbridge.doctor.facts import Facts, Way
from dnsbridge.doctor.link import PLAN, Link, failed, ok, unknown

_TUNNELS = ("tun", "tap", "wireguard", "ppp", "ipip", "gre", "vti", "xfrm")

_BY_HAND = ("boot", "static")
"""A routing daemon has its own reasons for a next hop."""


def check(facts: Facts) -> Link:
    """This host has a route to each address. Whether the default one will do only a connection shows."""
    if not facts.ways:
        return unknown("route", "no address to look for")
    for judge in (_thrown_away, _astray, _default):
        for way in facts.ways:
            if link := judge(way, facts):
                return link
    return ok("route", "; ".join(f"{way.address}: {way.prefix}{_through(way)}" for way in facts.ways))


def _thrown_away(way: Way, _: Facts) -> Link | None:
    """The failure of an address without a route that takes packets."""
    if way.kind == "none":
        return failed("route", f"{way.address}: no route", "this host has no route to the address", PLAN)
    if way.kind in ("unicast", "local"):
        return None
    return failed(
        "route",
        f"{way.address}: {way.kind} {way.prefix} ({way.owner})" if way.prefix else f"{way.address}: {way.kind}",
        f"a route of this host throws its packets away ({way.kind})",
        f"ip route del {way.kind} {way.prefix or way.address}, if nobody needs it; then {PLAN}",
    )


def _astray(way: Way, facts: Facts) -> Link | None:
    """The failure of a route by which nothing comes back, and which is not the plan's."""
    if not _results(way, facts) & {"silent", "unreachable"}:
        return None
    if way.device_kind in _TUNNELS and way.owner != "dnsbridge":
        mend = f"leave {way.prefix} out of the VPN, or give it to the cluster there; then {PLAN}"
        if way.address in facts.planned.to:
            mend = f"{PLAN}, nearer than {way.prefix}; or leave {way.prefix} out of the VPN"
        return failed(
            "route",
            f"{way.address}: {way.prefix}{_through(way)}",
            f"a tunnel takes the packets ({way.device}), and nothing comes back: a VPN has the prefix",
            mend,
        )
    return _not_planned(way, facts)


def _not_planned(way: Way, facts: Facts) -> Link | None:
    """The failure of a route that leads another way than the plan."""
    hops = facts.planned.to.get(way.address, ())
    if not hops or not way.via or way.via in hops or _is_default(way):
        return None
    text, there = f"{way.address}: {way.prefix}{_through(way)}", f"the plan says via {' or '.join(hops)}"
    if way.owner in _BY_HAND:
        mend = f"ip route del {way.prefix} via {way.via}, if nobody needs it; then {PLAN}"
        return failed("route", text, f"somebody else's route takes the packets; {there}", mend)
    if way.owner == "dnsbridge" and way.via in facts.planned.all:
        return failed("route", text, f"the route is ours, and old: {there}", f"{PLAN}; routes run keeps it true")
    return None


def _default(way: Way, facts: Facts) -> Link | None:
    """What is known of an address that only the default route leads to."""
    if not _is_default(way):
        return None
    text = f"{way.address}: only the default route{_through(way)}"
    results = _results(way, facts)
    if results & {"open", "refused"} or any(each.arrives for each in facts.trails if each.address == way.address):
        return ok("route", text)
    if not results:
        return unknown("route", text)
    if facts.unannounced and facts.service and facts.service.kind == "ClusterIP":
        return failed(
            "route",
            text,
            f"Calico announces pods over BGP and no ClusterIPs: its BGPConfiguration lacks {facts.unannounced}",
            f"add serviceClusterIPs: [{{cidr: {facts.unannounced}}}] to it; or {PLAN}",
        )
    return failed("route", text, "only the default gateway gets its packets, and it may not know the way", PLAN)


def _is_default(way: Way) -> bool:
    return way.kind == "unicast" and way.prefix in ("0.0.0.0/0", "::/0")


def _results(way: Way, facts: Facts) -> set[str]:
    return {each.result for each in facts.connects if each.address == way.address}


def _through(way: Way) -> str:
    via = f" via {way.via}" if way.via else ""
    tunnel = f", a tunnel ({way.device_kind})" if way.device_kind in _TUNNELS else ""
    owner = f" ({way.owner}{tunnel})" if way.owner else ""
    return f"{via} dev {way.device}{owner}"
