"""The lines of ExaBGP's API, decoded one at a time into events. Pure.

    done, error                                              the answer to the oldest unanswered command
    {"type": "state", "neighbor": {..., "state": "up"}}      up, down (with a reason)
    {"type": "negotiated", ...}                              the address families that a session carries
    {"type": "update", "neighbor": {..., "direction": "send", "message": {"update": ...}}}    sent to a peer

Any other line gives None: it says nothing about the routes.
"""

import re
from ipaddress import ip_address, ip_network

import msgspec
from msgspec import Struct

from dnsbridge.routes.model import IPAddress, Prefix


class Answer(Struct, frozen=True):
    """A command was accepted, or not understood."""

    well: bool


class Negotiated(Struct, frozen=True):
    """The address families of a session, reported before it is up."""

    peer: IPAddress
    versions: frozenset[int]
    """IP versions of the unicast families."""


class Up(Struct, frozen=True):
    """A session is established; the peer knows nothing yet."""

    peer: IPAddress


class Down(Struct, frozen=True):
    """There is no session; the peer may or may not have kept the routes."""

    peer: IPAddress
    reason: str
    """For people, in a few words."""


class Sent(Struct, frozen=True):
    """An UPDATE went out to a peer."""

    peer: IPAddress
    announced: tuple[tuple[Prefix, IPAddress], ...] = ()
    withdrawn: tuple[Prefix, ...] = ()


Event = Answer | Negotiated | Up | Down | Sent


class _Nlri(Struct):
    nlri: str


class _Update(Struct):
    announce: dict[str, dict[str, list[_Nlri]]] = {}
    withdraw: dict[str, list[_Nlri]] = {}


class _Message(Struct):
    update: _Update | None = None


class _Families(Struct):
    families: list[str] = []


class _Addresses(Struct):
    peer: str = ""


class _Neighbor(Struct):
    address: _Addresses
    state: str = ""
    reason: str = ""
    direction: str = ""
    message: _Message | None = None
    negotiated: _Families | None = None


class _Line(Struct):
    type: str = ""
    neighbor: _Neighbor | None = None


_DECODER = msgspec.json.Decoder(_Line)
_NOTIFICATION = re.compile(r"notification (received|sent) \((\d+),(\d+)\)")
# Errors that a person can do something about (RFC 4271 sections 4.5 and 6, RFC 4486).
_ERRORS = {
    (2, 2): "Bad Peer AS",
    (2, 3): "Bad BGP Identifier",
    (2, 4): "Unsupported Optional Parameter",
    (2, 6): "Unacceptable Hold Time",
    (2, 7): "Unsupported Capability",
    (4, 0): "Hold Timer Expired",
    (6, 1): "Maximum Number of Prefixes Reached",
    (6, 2): "Administrative Shutdown",
    (6, 3): "Peer De-configured",
    (6, 4): "Administrative Reset",
    (6, 5): "Connection Rejected",
    (6, 7): "Connection Collision Resolution",
    (6, 8): "Out of Resources",
}


def event(line: str) -> Event | None:
    """The event of a line. Never raises."""
    if line in ("done", "error"):
        return Answer(line == "done")
    try:
        return _event(_DECODER.decode(line))
    except (msgspec.DecodeError, ValueError):
        return None


def _event(line: _Line) -> Event | None:
    neighbor = line.neighbor
    if neighbor is None:
        return None
    peer = ip_address(neighbor.address.peer)
    match line.type:
        case "state" if neighbor.state == "up":
            return Up(peer)
        case "state" if neighbor.state == "down":
            return Down(peer, _reason(neighbor.reason))
        case "negotiated" if neighbor.negotiated:
            families = neighbor.negotiated.families
            return Negotiated(peer, frozenset(v for v in (4, 6) if f"ipv{v} unicast" in families))
        case "update" if neighbor.direction == "send" and neighbor.message and neighbor.message.update:
            update = neighbor.message.update
            return Sent(
                peer,
                tuple(
                    (ip_network(each.nlri), ip_address(next_hop))
                    for by_next_hop in update.announce.values()
                    for next_hop, prefixes in by_next_hop.items()
                    for each in prefixes
                ),
                tuple(ip_network(each.nlri) for prefixes in update.withdraw.values() for each in prefixes),
            )
    return None


def _reason(told: str) -> str:
    if not (found := _NOTIFICATION.search(told)):
        return ""
    error = int(found[2]), int(found[3])
    name = _ERRORS.get(error, "an error")
    return f"{'it' if found[1] == 'received' else 'we'} ended it with {name} (BGP code {error[0]}, subcode {error[1]})"
