"""This host has a route to each address."""

from dnsbridge.doctor.facts import Facts, Way
from dnsbridge.doctor.link import PLAN, Link, failed, ok, unknown

_TUNNELS = ("tun", "tap", "wireguard", "ppp", "ipip", "gre", "vti", "xfrm")


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


def _default_only(facts: Facts) -> Way | None:
    return next((way for way in facts.ways if way.kind == "unicast" and way.prefix in ("0.0.0.0/0", "::/0")), None)


def _through(way: Way) -> str:
    via = f" via {way.via}" if way.via else ""
    tunnel = f", a tunnel ({way.device_kind})" if way.device_kind in _TUNNELS else ""
    owner = f" ({way.owner}{tunnel})" if way.owner else ""
    return f"{via} dev {way.device}{owner}"
