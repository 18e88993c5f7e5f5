"""The servers of a forward zone: addresses as they are written, and the servers that files and Services stand for.

A nameserver in a file is left out if it is this server itself, or if no packet can go to its address.
"""

import socket
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from dnsbridge import config
from dnsbridge.app.answering.service_upstreams import ServiceUpstream
from dnsbridge.app.this_machine import is_local
from dnsbridge.config import Address, ServiceAddress, StreamAddress, reaches
from dnsbridge.watch.resolv_conf import ResolvConf

Server = Address | StreamAddress
PORT = 53
"""The port of nameservers in a resolv.conf(5), which cannot name another."""


def resolv_confs(said: Sequence[config.Forward], listening: Sequence[Address]) -> dict[Path, ResolvConf]:
    """The files among the upstreams, each looked at once."""
    paths = dict.fromkeys(path for each in said for path in each.upstreams if isinstance(path, Path))
    files = {path: ResolvConf(path, partial(_can_be_asked, listening)) for path in paths}
    for file in files.values():
        file.look()
    return files


def servers_of(
    said: config.Forward,
    files: Mapping[Path, ResolvConf],
    services: Mapping[ServiceAddress, ServiceUpstream],
) -> dict[Server, Server | ServiceAddress | Path]:
    """The current servers of a zone, in order, each with the first upstream that stands for it."""
    found: dict[Server, Server | ServiceAddress | Path] = {}
    for each in said.upstreams:
        named: Sequence[Server]
        if isinstance(each, Path):
            named = [Address(host, PORT) for host in files[each].hosts]
        elif isinstance(each, ServiceAddress):
            named = services[each].servers if each in services else ()
        else:
            named = [each]
        for server in named:
            found.setdefault(server, each)
    return found


def _can_be_asked(listening: Sequence[Address], host: str) -> bool:
    """Whether packets can go to a nameserver, and the nameserver is not this server itself."""
    try:
        socket.getaddrinfo(host, PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return False  # its %SCOPE is no interface of this host
    local = {host} if is_local(host) else ()
    return not any(reaches(listen, Address(host, PORT), local) for listen in listening)
