"""A BGP speaker and its peers, and the ExaBGP configuration made from them. Pure.

    Speaker        our AS number, addresses, timers, peers
    Peer           a router's address, port, AS number, MD5 password
    fault          why a speaker cannot run, in one line
    announced      the one next hop of a route that is announced, or why there is none
    configuration  the text that ExaBGP 5 reads: speaker, relay, and initial routes
    announce, withdraw   the commands of its API

A BGP session carries one path for each prefix (a later path replaces the earlier one, RFC 4271 section 3.1), so
only one of several equal next hops is announced: the heaviest, then the lowest address, which is the same in every run.
The others serve as failover. (Several paths would need ADD-PATH, RFC 7911, which few switches take from a host.)

The routes are part of the configuration because a restarted speaker must have them before its first session is up: the
End-of-RIB marker that it then sends makes peers drop the routes kept from the earlier session (RFC 4724 section 4.2).
"""

import base64
from collections.abc import Mapping
from ipaddress import IPv4Address

from msgspec import Struct

from dnsbridge.routes.model import IPAddress, Prefix, Route, hop_order

PASSWORD_OCTETS = 80
"""The longest key of TCP_MD5SIG (tcp(7), TCP_MD5SIG_MAXKEYLEN)."""


class Peer(Struct, frozen=True):
    """A router that the routes are announced to."""

    address: IPAddress
    asn: int
    port: int = 179
    password: bytes = b""
    """The TCP MD5 key (RFC 2385); empty for none."""


class Speaker(Struct, frozen=True):
    """The local speaker, and its peers."""

    asn: int
    peers: tuple[Peer, ...]
    router_id: IPv4Address | None = None
    """None: our address towards the first IPv4 peer."""
    local_address: IPAddress | None = None
    """Source address of sessions; None is the kernel's choice."""
    hold_time: int = 90
    """Seconds."""
    graceful_restart: int = 120
    """Seconds that peers keep the routes after the speaker is gone; 0 is off."""


def fault(speaker: Speaker) -> str:
    """Why a speaker cannot run, in one line that names the setting; empty when it can."""
    if not speaker.asn:
        return "bgp: our AS number is missing; set routes.bgp.asn"
    if not speaker.peers:
        return "bgp: no peers; set routes.bgp.peers"
    if not speaker.router_id and all(peer.address.version == 6 for peer in speaker.peers):
        return "bgp: all peers have IPv6 addresses; set routes.bgp.router_id to an IPv4 address that is only ours"
    addresses = [peer.address for peer in speaker.peers]
    for peer in speaker.peers:
        if not peer.asn:
            return f"bgp: the AS number of peer {peer.address} is missing; set routes.bgp.peers[].asn"
        if addresses.count(peer.address) > 1:
            return f"bgp: peer {peer.address} is there twice; one session each in routes.bgp.peers"
        if len(peer.password) > PASSWORD_OCTETS:
            return f"bgp: the MD5 password of peer {peer.address} has over {PASSWORD_OCTETS} octets (TCP_MD5SIG)"
        if speaker.local_address and speaker.local_address.version != peer.address.version:
            return f"bgp: peer {peer.address} cannot be reached from routes.bgp.local_address {speaker.local_address}"
    return ""


def announced(route: Route) -> IPAddress | str:
    """The next hop to announce for a route, or in a few words why there is none."""
    usable = [
        (-hop.weight, hop_order(hop), hop.address)
        for hop in route.next_hops
        if hop.address and hop.address.version == route.prefix.version and not hop.address.is_link_local
    ]
    if usable:
        return min(usable)[2]
    hops = ", ".join(str(hop) for hop in route.next_hops)
    return f"bgp announces a global IPv{route.prefix.version} address as next hop, and has only: {hops}"


def announce(prefix: Prefix, next_hop: IPAddress) -> str:
    """The API command that announces a prefix, without a newline."""
    return f"announce route {prefix} next-hop {next_hop}"


def withdraw(prefix: Prefix, next_hop: IPAddress) -> str:
    """The API command that withdraws a prefix, without a newline."""
    return f"withdraw route {prefix} next-hop {next_hop}"


def configuration(speaker: Speaker, relay: str, routes: Mapping[Prefix, IPAddress]) -> str:
    """The configuration file. `relay` is a shell command without quotes that carries the API (see process)."""
    lines = [
        "process dnsbridge {",
        f'  run "/bin/sh" "-c" "{relay}";',
        "  encoder json;",
        "  respawn false;",
        "}",
        "template {",
        "  neighbor dnsbridge {",
        f"    local-as {speaker.asn};",
        f"    local-address {speaker.local_address or 'auto'};",
        *([f"    router-id {speaker.router_id};"] if speaker.router_id else []),
        f"    hold-time {speaker.hold_time};",
        "    adj-rib-in false;",
        "    adj-rib-out true;",
        "    group-updates true;",
        "    family { ipv4 unicast; ipv6 unicast; }",
        *(
            [f"    capability {{ asn4 enable; graceful-restart {speaker.graceful_restart}; }}"]
            if speaker.graceful_restart
            else ["    capability { asn4 enable; }"]
        ),
        "    api { processes [ dnsbridge ]; neighbor-changes; negotiated; send { parsed; update; } }",
        "    static {",
        *[f"      route {prefix} next-hop {next_hop};" for prefix, next_hop in routes.items()],
        "    }",
        "  }",
        "}",
    ]
    for peer in speaker.peers:
        lines += [
            f"neighbor {peer.address} {{",
            "  inherit dnsbridge;",
            f"  peer-as {peer.asn};",
            f"  connect {peer.port};",
        ]
        if peer.password:
            # Base64 has no character that means anything to ExaBGP's parser.
            lines += [f"  md5-password {base64.b64encode(peer.password).decode()};", "  md5-base64 true;"]
        lines.append("}")
    return "\n".join(lines) + "\n"
