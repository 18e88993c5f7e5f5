"""A TCP connection to the port comes about, and its replies come back."""

from dnsbridge.doctor.facts import DEAD, Facts, Way
from dnsbridge.doctor.link import PLAN, Link, State, failed, ok, unknown
from dnsbridge.doctor.links import endpoints, route

_UNREACHABLE = "a router on the way says that it has no way there"


def check(facts: Facts) -> Link:
    """A TCP connection to the port comes about."""
    if not facts.connects:
        return unknown("connection", "no address, or no port to connect to; name one with --port")
    lost = route.check(facts).state is State.FAILED
    for each in facts.connects:
        where = f"{each.address} port {each.port}"
        way = next((way for way in facts.ways if way.address == each.address), None)
        if each.result in ("silent", "unreachable") and lost:
            return unknown("connection", f"{where}: nothing gets there (see route)")
        if each.result in ("silent", "unreachable") and way and way.neighbour in DEAD:
            return unknown("connection", f"{where}: nothing gets past the next hop")
        if each.result != "open" and endpoints.check(facts).state is State.FAILED:
            return unknown("connection", f"{where}: {each.result}, as no endpoint is ready")
        match each.result:
            case "refused":
                return failed(
                    "connection",
                    f"{where}: refused after {each.seconds * 1000:.0f} ms",
                    "packets go there and come back, and nothing listens at the port",
                    f"kubectl describe service, for its ports and endpoints; --port names another than {each.port}",
                )
            case "unreachable":
                return failed("connection", f"{where}: {each.problem}", _UNREACHABLE, PLAN)
            case "silent":
                return failed("connection", f"{where}: no reply", *_silent(facts, way))
    text = ", ".join(f"{each.address} port {each.port}: {each.seconds * 1000:.0f} ms" for each in facts.connects)
    return ok("connection", text)


def _silent(facts: Facts, way: Way | None) -> tuple[str, str]:
    """Why nothing comes back, as far as that can be seen from here."""
    if way and way.strict:
        return (
            f"packets get lost on the way there or back; {way.device} drops replies that come another way (rp_filter)",
            f"sysctl -w net.ipv4.conf.{way.device}.rp_filter=2; then see the node's firewall and its way back",
        )
    if facts.service and facts.service.kind == "ClusterIP":
        return (
            "packets get lost: the node does not forward ClusterIPs, a firewall drops them, or there is no way back",
            "on the node: sysctl net.ipv4.ip_forward, iptables -L FORWARD -v, ip route get the address of this host",
        )
    return (
        "packets get lost: a firewall or a NetworkPolicy drops them, or the node has no way back to this host",
        "on the node: iptables -L FORWARD -v, ip route get the address of this host",
    )
