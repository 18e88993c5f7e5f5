"""Opens the listening sockets: UDP and TCP on one port, with errors that say what to do."""

import errno
import socket

from msgspec import Struct

from dnsbridge.config import Address
from dnsbridge.errors import of_system
from dnsbridge.listeners import tcp, udp_socket

_TRIES = 16
"""Tries for a port that the kernel chooses: the port is free over UDP, but may be taken over TCP."""


class Listening(Struct, frozen=True):
    """A pair of bound sockets."""

    address: Address
    """The bound address, with the port that the kernel chose."""
    udp: socket.socket
    tcp: socket.socket

    def close(self) -> None:
        """Close both."""
        self.udp.close()
        self.tcp.close()


class CannotListen(Struct, frozen=True):
    """Why an address cannot be listened on, in one line."""

    problem: str
    absent: bool
    """The machine has no such address or no such family at all."""


def listen(address: Address) -> Listening | CannotListen:
    """Bind an address over UDP and TCP."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    for attempt in range(_TRIES):
        opened: socket.socket | None = None
        try:
            opened = udp_socket.open_socket(family, address.host, address.port)
            port = opened.getsockname()[1]
            return Listening(Address(address.host, port), opened, tcp.open_socket(family, address.host, port))
        except OSError as error:
            if opened:
                opened.close()
            if opened and address.port == 0 and error.errno == errno.EADDRINUSE and attempt + 1 < _TRIES:
                continue
            return CannotListen(
                f"cannot listen on {address} over {'TCP' if opened else 'UDP'}: {_explained(error, address)}",
                error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL),
            )
    raise AssertionError("the last try returns")


def absent(address: Address) -> str:
    """Why nobody can listen on an address on this machine, whoever has the port; empty if somebody can."""
    found = listen(Address(address.host, 0))
    if isinstance(found, Listening):
        found.close()
        return ""
    return found.problem.replace(str(Address(address.host, 0)), str(address)) if found.absent else ""


def share(first: Listening, count: int) -> list[Listening]:
    """`count` pairs on one address, `first` among them: the kernel spreads the traffic over them. Raises OSError.

    `first` was bound without SO_REUSEPORT, so a port that another server has is an error even if that server would
    share it. From here on only sockets of the same user that have the option can join.
    """
    pairs = [first]
    host, port = first.address
    family = first.udp.family
    try:
        for sock in (first.udp, first.tcp):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        while len(pairs) < count:
            udp = udp_socket.open_socket(family, host, port, shared=True)
            try:
                pairs.append(Listening(first.address, udp, tcp.open_socket(family, host, port, shared=True)))
            except OSError:
                udp.close()
                raise
    except OSError:
        for pair in pairs:
            pair.close()
        raise
    return pairs


def _explained(error: OSError, address: Address) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"the address is in use; stop the server that has it (ss -lnptu 'sport = :{address.port}' shows it),"
                " or choose another with serve --listen"
            )
        case errno.EACCES | errno.EPERM:
            return (
                "no right to bind a port below 1024; start as root, give CAP_NET_BIND_SERVICE,"
                " or choose another with serve --listen 127.0.0.1:5300"
            )
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address; choose one of its own with serve --listen"
        case errno.EAFNOSUPPORT:
            return "this machine has no such address family; choose an address with serve --listen"
        case _:
            return f"{of_system(error)}; choose another with serve --listen"
