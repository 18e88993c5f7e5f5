"""Why nothing comes back from a port, as far as that can be told from here, and what mends it."""

from dnsbridge.doctor.facts import Facts, Trail, Way


def explain(facts: Facts, address: str, port: int, way: Way | None) -> tuple[str, str]:
    """The cause and what mends it."""
    if facts.turned_away:
        return _turned_away(facts, way)
    trail = next((each for each in facts.trails if each.address == address), None)
    if trail is None:
        return _lost(facts)
    if trail.arrives:
        return (
            f"packets get to {address} and back, and TCP port {port} is silent: a firewall or NetworkPolicy filters it",
            "kubectl get networkpolicies --all-namespaces; on the node: nft list ruleset",
        )
    if trail.routers:
        return (
            f"packets get lost behind {trail.routers[-1]}, which passes them on: a firewall or a NetworkPolicy drops"
            " them, or there is no way back",
            f"on the node of {address}: ip route get {trail.source}; nft list ruleset",
        )
    if way and way.via:
        return _next_hop(trail, way)
    return _lost(facts)


def _turned_away(facts: Facts, way: Way | None) -> tuple[str, str]:
    here = way.device if way else ""
    devices = [each for each in facts.strict if each != here] or [here]
    settings = " ".join(f"net.ipv4.conf.{each}.rp_filter=2" for each in devices)
    return (
        f"replies come by another device than {here}, and this host drops them ({facts.turned_away} by rp_filter)",
        f"sysctl -w {settings}",
    )


def _next_hop(trail: Trail, way: Way) -> tuple[str, str]:
    """What the next hop does that passes nothing on."""
    if trail.next_hop_answers:
        setting = "net.ipv6.conf.all.forwarding" if ":" in way.via else "net.ipv4.ip_forward"
        return (
            f"{way.via} answers, and does not forward packets to {way.address}",
            f"on {way.via}: sysctl -w {setting}=1",
        )
    return (
        f"packets get lost: {way.via} sends nothing back, so it has no way back to this host, or a firewall drops them",
        f"on {way.via}: ip route get {trail.source}; nft list ruleset",
    )


def _lost(facts: Facts) -> tuple[str, str]:
    if facts.service and facts.service.kind == "ClusterIP":
        return (
            "packets get lost: the node does not forward ClusterIPs, a firewall drops them, or there is no way back",
            "on the node: sysctl net.ipv4.ip_forward, iptables -L FORWARD -v, ip route get the address of this host",
        )
    return (
        "packets get lost: a firewall or a NetworkPolicy drops them, or the node has no way back to this host",
        "on the node: iptables -L FORWARD -v, ip route get the address of this host",
    )
