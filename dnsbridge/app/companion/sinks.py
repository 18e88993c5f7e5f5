"""From settings to the sinks that routes are pushed to."""

import logging
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from dnsbridge.config import Routes
from dnsbridge.netlink.words import PROTOCOLS
from dnsbridge.routes.exports import FORMATS, Refused, export
from dnsbridge.routes.model import Route
from dnsbridge.routes.sink import Sink, SinkProblem
from dnsbridge.sinks.bgp.sink import BgpSink
from dnsbridge.sinks.bgp.speaker import PASSWORD_OCTETS, Peer, Speaker, fault
from dnsbridge.sinks.bird.sink import BirdSink
from dnsbridge.sinks.file import FileSink
from dnsbridge.sinks.frr.sink import FrrSink
from dnsbridge.sinks.kernel import KernelSink

log = logging.getLogger(__name__)

DEFAULT = ("kernel",)
"""The sinks when the settings name none."""


def sinks_of(routes: Routes, lasting: bool = False) -> list[Sink]:
    """The sinks of the setting `routes.sinks`, in its order; nothing is opened yet. Raises SinkProblem.

    `lasting` says that the process keeps running, as a BGP session needs.
    """
    return [_sink(name, routes, lasting) for name in dict.fromkeys(routes.sinks or DEFAULT)]


def _sink(name: str, routes: Routes, lasting: bool) -> Sink:
    make = _MAKERS.get(name)
    if make is None:
        raise SinkProblem(f"sink {name}: not in this version yet; choose of: {', '.join(sorted(_MAKERS))}")
    return make(routes, lasting)


def _kernel(routes: Routes, _lasting: bool) -> Sink:
    said = routes.kernel
    if owner := PROTOCOLS.get(said.protocol):
        raise SinkProblem(
            f"sink kernel: protocol {said.protocol} is {owner}'s, whose routes would be taken for ours; set"
            " routes.kernel.protocol to a number that nobody uses, such as 83"
        )
    return KernelSink(said.table, said.protocol, said.metric)


def _bgp(routes: Routes, lasting: bool) -> Sink:
    said = routes.bgp
    router_id = said.router_id
    if router_id is not None and not isinstance(router_id, IPv4Address):
        raise SinkProblem(f"bgp: {router_id} is no IPv4 address; set routes.bgp.router_id to one that is only ours")
    peers = []
    for peer in said.peers:
        if peer.address is None:
            raise SinkProblem("bgp: a peer has no address; set routes.bgp.peers[].address")
        password = _password(peer.password_file) if peer.password_file else b""
        peers.append(Peer(peer.address, peer.asn, peer.port, password))
    speaker = Speaker(said.asn, tuple(peers), router_id, said.local_address, said.hold_time, said.graceful_restart)
    if problem := fault(speaker):
        raise SinkProblem(problem)
    return BgpSink(speaker, lasting)


def _password(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            password = file.read(PASSWORD_OCTETS + 2).rstrip(b"\r\n")
    except OSError as error:
        raise SinkProblem(f"bgp: {path} cannot be read: {error.strerror}; it is the password_file of a peer") from None
    if not password:
        raise SinkProblem(f"bgp: {path} is empty; write the peer's MD5 password into it")
    return password


def _bird(routes: Routes, _lasting: bool) -> Sink:
    said = routes.bird
    return BirdSink(said.file, said.config, said.socket)


def _frr(routes: Routes, _lasting: bool) -> Sink:
    return FrrSink(routes.frr.vty_dir)


def _file(routes: Routes, _lasting: bool) -> Sink:
    said = routes.file
    if said.path is None:
        raise SinkProblem("file: no file; set routes.file.path")

    if FORMATS[said.format].needs_interface:
        raise SinkProblem(f"file: {said.format} is for one interface, which no setting names; set routes.file.format")

    def render(wanted: Sequence[Route]) -> str:
        made = export(said.format, wanted)
        if isinstance(made, Refused):
            raise SinkProblem(f"file: {made.problem}")
        for note in made.notes:
            log.warning("sink file: %s", note)
        return made.text

    return FileSink(said.path, render)


_MAKERS: Mapping[str, Callable[[Routes, bool], Sink]] = {
    "kernel": _kernel,
    "bgp": _bgp,
    "bird": _bird,
    "frr": _frr,
    "file": _file,
}
"""By the names in routes.sinks."""
