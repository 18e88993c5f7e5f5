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
    for way in facts.ways:
        if way.kind == "none":
            return failed("route", f"{way.address}: no route", "this host has no route to the address", PLAN)
        if way.kind not in ("unicast", "local"):
            return failed(
                "route",
                f"{way.address}: {way.kind} {way.prefix} ({way.owner})" if way.prefix else f"{way.address}: {way.kind}",
                f"a route of this host throws its packets away ({way.kind})",
                f"ip route del {way.kind} {way.prefix or way.address}, if nobody needs it; then {PLAN}",
            )
    for way in facts.ways:
        results = {each.result for each in facts.connects if each.address == way.address}
        if way.device_kind in _TUNNELS and way.owner != "dnsbridge" and results & {"silent", "unreachable"}:
            return failed(
                "route",
                f"{way.address}: {way.prefix}{_through(way)}",
                f"a tunnel takes the packets ({way.device}), and nothing comes back: a VPN has the prefix",
                f"leave {way.prefix} out of the VPN, or give it to the cluster there; then {PLAN}",
            )
        if results & {"silent", "unreachable"} and (found := _not_planned(way, facts)):
            return found
    if default := _default_only(facts):
        text = f"{default.address}: only the default route{_through(default)}"
        results = {each.result for each in facts.connects if each.address == default.address}
        if results & {"open", "refused"}:
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
    return ok("route", "; ".join(f"{way.address}: {way.prefix}{_through(way)}" for way in facts.ways))


def _not_planned(way: Way, facts: Facts) -> Link | None:
    """The failure of a route that leads another way than the plan."""
    hops = facts.planned.to.get(way.address, ())
    if not hops or not way.via or way.via in hops or way == _default_only(facts):
        return None
    text, there = f"{way.address}: {way.prefix}{_through(way)}", f"the plan says via {' or '.join(hops)}"
    if way.owner in _BY_HAND:
        mend = f"ip route del {way.prefix} via {way.via}, if nobody needs it; then {PLAN}"
        return failed("route", text, f"somebody else's route takes the packets; {there}", mend)
    if way.owner == "dnsbridge" and way.via in facts.planned.all:
        return failed("route", text, f"the route is ours, and old: {there}", f"{PLAN}; routes run keeps it true")
    return None


def _default_only(facts: Facts) -> Way | None:
    return next((way for way in facts.ways if way.kind == "unicast" and way.prefix in ("0.0.0.0/0", "::/0")), None)


def _through(way: Way) -> str:
    via = f" via {way.via}" if way.via else ""
    tunnel = f", a tunnel ({way.device_kind})" if way.device_kind in _TUNNELS else ""
    owner = f" ({way.owner}{tunnel})" if way.owner else ""
    return f"{via} dev {way.device}{owner}"
