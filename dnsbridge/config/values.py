"""The kinds of value that a setting can have: how each is read, what is allowed, how it is shown.

    Duration, LongDuration   "500ms" "60s" "2m" "1h", or a number of seconds
    ListenAddress            "127.0.0.1:53" "[::1]:53" "127.0.0.1" (port 53); port 0 is any free one
    HttpAddress              as ListenAddress, with port 9153; null or "" is off
    ServerAddress            "10.0.0.53" "10.0.0.53:5353" "[fd00::53]:53" "fd00::53"
    UpstreamAddress          as ServerAddress, or "tcp://10.0.0.53" "tls://10.0.0.53#dns.corp.example"
                             "tls://[fd00::53]:853", or "service://NAMESPACE/NAME[:PORT][@CLUSTER]", or the absolute
                             path of a resolv.conf(5)
    Host                     "10.0.0.1" "fd00::1"
    Cidr, Client             "10.0.0.0/8" "fd00::/8"; Client also "private"
    Zone, ForwardZone        "cluster.local", kept in lower case without its final dot; ForwardZone also "."
    Label, Text, File        the name of a cluster; printable text; a path
    Tap                      "unix:/run/dnstap.sock", or the path of a file
    whole(low, high), Flag   a number; true or false

A kind is attached to a type with `typing.Annotated`, so that the schema gives both the Python type of a setting and
its form in the file.
"""

import ipaddress
import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from dnsbridge.config.service_address import SCHEME, ServiceAddress, read_service
from dnsbridge.wire import name

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

PRIVATE: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),  # RFC 1918, RFC 4193
        *("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10"),  # loopback, link-local
    )
)
"""The networks that `private` stands for in access.allow."""


class Scalar(NamedTuple):
    """A value as it is written, and as YAML understands it."""

    text: str
    value: bool | int | float | str | None


class BadValueError(ValueError):
    """A value that is not allowed: the problem and what to write, in one line.

    If the text has no `; write ...`, or is empty, the reader adds what the kind expects.
    """


class Address(NamedTuple):
    """An IP address as canonical text, and a port: what `socket.bind` and `connect` take."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class StreamAddress(NamedTuple):
    """A DNS server that is asked only over TCP or TLS."""

    host: str
    port: int
    tls: bool = False
    name: str = ""
    """The name that its certificate must have; empty: its address."""

    def __str__(self) -> str:
        name = f"#{self.name}" if self.name else ""
        return f"{'tls' if self.tls else 'tcp'}://{Address(self.host, self.port)}{name}"


class UnixSocket(NamedTuple):
    """The Unix socket of another program."""

    path: Path

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


def plainly(value: Any) -> Any:
    """A value in the form of JSON."""
    return value if value is None or isinstance(value, bool | int | str) else str(value)


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of value."""

    read: Callable[[Scalar], Any]
    """The value; raises BadValueError."""
    expected: str
    """The allowed values, worded to follow the word "write"."""
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    """Its JSON Schema."""
    write: Callable[[Any], Any] = plainly
    """A value in the form of the file."""


def shown(text: str) -> str:
    """Text from outside on one line, cut to a readable length."""
    return json.dumps(text if len(text) <= 60 else text[:60] + "...")


def _text(scalar: Scalar) -> str:
    if scalar.value is None or not scalar.text.isprintable() or not scalar.text.strip():
        raise BadValueError
    return scalar.text


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h)")
_LONGEST = 30 * 24 * 3600.0


def _duration(least: float) -> Kind:
    def read(scalar: Scalar) -> float:
        seconds: float
        if isinstance(scalar.value, int | float) and not isinstance(scalar.value, bool):
            seconds = scalar.value
        elif match := _DURATION.fullmatch(scalar.text):
            seconds = float(match[1]) * _UNITS[match[2]]
        else:
            raise BadValueError
        if not (math.isfinite(seconds) and least <= seconds <= _LONGEST):
            raise BadValueError(f"{shown(scalar.text)} is out of range; write {_span(least)} to {_span(_LONGEST)}")
        return float(seconds)

    schema = {"type": ["string", "number"], "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$", "minimum": least}
    return Kind(read, "a duration such as 500ms, 60s, 2m or 1h", {**schema, "maximum": _LONGEST}, _span)


def _span(seconds: float) -> str:
    for unit in ("h", "m", "s"):
        if seconds >= _UNITS[unit] and not seconds % _UNITS[unit]:
            return f"{int(seconds / _UNITS[unit])}{unit}"
    return f"{seconds * 1000:.15g}ms" if seconds else "0s"


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""

    def read(scalar: Scalar) -> int:
        if isinstance(scalar.value, bool) or not isinstance(scalar.value, int) or not low <= scalar.value <= high:
            raise BadValueError
        return scalar.value

    return Kind(read, f"a whole number from {low} to {high}", {"type": "integer", "minimum": low, "maximum": high})


def word(*words: str) -> Kind:
    """One of these words."""

    def read(scalar: Scalar) -> str:
        if scalar.text not in words:
            raise BadValueError
        return scalar.text

    expected = words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    return Kind(read, expected, {"type": "string", "enum": list(words)})


def _flag(scalar: Scalar) -> bool:
    if not isinstance(scalar.value, bool):
        raise BadValueError
    return scalar.value


def _ip(text: str) -> IPAddress | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None and not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", address.scope_id):
            return None
        return address.ipv4_mapped or address
    return address


def _address(scalar: Scalar, default_port: int, lowest_port: int) -> Address:
    """ADDR, ADDR:PORT, [ADDR] or [ADDR]:PORT."""
    text = _text(scalar)
    bare = _ip(text)
    if bare is not None:
        return Address(str(bare), default_port)
    match = re.fullmatch(r"(?:\[([^\[\]]*:[^\[\]]*)\]|([^:\[\]]*))(?::([^:]*))?", text)
    if match is None:
        raise BadValueError
    host, port = match[1] or match[2], match[3]
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and lowest_port <= int(port) <= 65535):
        raise BadValueError(f"{shown(text)} has a bad port; write a port from {lowest_port} to 65535")
    address = _ip(host)
    if address is None:
        if not host:
            raise BadValueError(f"{shown(text)} has no address; write 0.0.0.0:{port} or [::]:{port}")
        raise BadValueError(f"{shown(text)} is not an IP address")
    return Address(str(address), default_port if port is None else int(port))


def _listen(scalar: Scalar) -> Address:
    return _address(scalar, 53, 0)


def _http(scalar: Scalar) -> Address | None:
    return None if scalar.value in (None, "") else _address(scalar, 9153, 0)


def _server(scalar: Scalar) -> Address:
    text = _text(scalar)
    if "://" in text:
        raise BadValueError(f"{shown(text)}: this server is asked over UDP, and TCP where needed; write ADDR[:PORT]")
    return _not_any(_address(scalar, 53, 1), text)


def _not_any(address: Address, text: str) -> Address:
    if ipaddress.ip_address(address.host).is_unspecified:
        raise BadValueError(f"{shown(text)} is the address of no server; write the server's own address")
    return address


_HOST_NAME = re.compile(r"(?=.{1,253}$)(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")


def _upstream(scalar: Scalar) -> Address | StreamAddress | ServiceAddress | Path:
    """[tcp://|tls://]ADDR[:PORT], and #NAME after tls; service://NAMESPACE/NAME[:PORT][@CLUSTER]; or /PATH."""
    text = _text(scalar)
    if text.startswith("/"):
        return Path(text)
    scheme, separator, rest = text.rpartition("://")
    if scheme == SCHEME:
        service = read_service(rest)
        if isinstance(service, str):
            raise BadValueError(f"{shown(text)}: {service}")
        return service
    if not separator and "/" in text:
        advice = "write ADDR[:PORT], or the path of a resolv.conf, such as /etc/resolv.conf"
        raise BadValueError(f"{shown(text)} is neither an address nor an absolute path; {advice}")
    if separator and scheme not in ("tcp", "tls"):
        advice = "write ADDR[:PORT], tcp://ADDR[:PORT], tls://ADDR[:PORT]#NAME or service://NAMESPACE/NAME"
        raise BadValueError(f"{shown(text)}: {shown(scheme + separator)} is not a transport; {advice}")
    place, mark, name = rest.partition("#")
    if mark and scheme != "tls":
        if not scheme and re.fullmatch("[0-9]{1,5}", name):
            raise BadValueError(f"{shown(text)}: a port follows a colon; write {_with_port(place, name)}")
        raise BadValueError(f"{shown(text)}: only TLS checks a name; write tls://{place}#{name}, or no #NAME")
    if mark and not _HOST_NAME.fullmatch(name):
        advice = "write the name in the server's certificate, such as #dns.corp.example"
        raise BadValueError(f"{shown(text)}: {shown(name)} after # is not a host name; {advice}")
    if scheme == "tls" and not mark and _HOST_NAME.fullmatch(place) and not _ip(place):
        raise BadValueError(f"{shown(text)} has no address; write tls://ADDR#{place}")
    address = _not_any(_address(Scalar(place, place), 853 if scheme == "tls" else 53, 1), text)
    return StreamAddress(*address, scheme == "tls", name.lower()) if scheme else address


def read_server(text: str) -> Address | StreamAddress | None:
    """The server in a text that `str` made of it; None if the text is not a server."""
    try:
        found = _upstream(Scalar(text, text))
    except BadValueError:
        return None
    return None if isinstance(found, Path | ServiceAddress) else found


def _with_port(place: str, port: str) -> str:
    return f"[{place}]:{port}" if ":" in place else f"{place}:{port}"


def _host(scalar: Scalar) -> IPAddress:
    address = _ip(_text(scalar))
    if address is None:
        raise BadValueError
    return address


def _cidr(scalar: Scalar) -> Network:
    text = _text(scalar)
    _, slash, length = text.partition("/")
    if slash and not re.fullmatch("[0-9]{1,3}", length):
        raise BadValueError
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadValueError from None
    if int(ipaddress.ip_interface(text).ip) != int(network.network_address):
        raise BadValueError(f"{shown(text)} has host bits set; write {network}")
    return network


def _table(scalar: Scalar) -> Path | str:
    return "kernel" if scalar.text == "kernel" else _file(scalar)


def _client(scalar: Scalar) -> Network | str:
    return "private" if scalar.text == "private" else _cidr(scalar)


def _forward_zone(scalar: Scalar) -> str:
    text = _text(scalar)
    if text == ".":
        return text
    try:
        name.from_text(text)
    except name.BadNameError as error:
        raise BadValueError(f"not a DNS name: {error}; write one such as cluster.local") from None
    if not re.fullmatch(r"[A-Za-z0-9_/-]+(?:\.[A-Za-z0-9_/-]+)*\.?", text):
        raise BadValueError
    return text.lower().removesuffix(".")


def _zone(scalar: Scalar) -> str:
    zone = _forward_zone(scalar)
    if zone == ".":
        raise BadValueError('"." is every name; write a DNS name such as cluster.local')
    return zone


def _label(scalar: Scalar) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", _text(scalar)):
        raise BadValueError
    return scalar.text


def _character_string(scalar: Scalar) -> str:
    """Text that fits into one character-string of a TXT record (RFC 1035 section 3.3)."""
    if len(_text(scalar).encode()) > 255:
        raise BadValueError
    return scalar.text


def _file(scalar: Scalar) -> Path:
    return Path(os.path.expanduser(_text(scalar)))


_UNIX = "unix:"
_SOCKET_PATH = 107
"""Octets of a Unix socket's path at most: unix(7)."""


def _tap(scalar: Scalar) -> UnixSocket | Path:
    text = _text(scalar)
    if not text.startswith(_UNIX):
        return _file(scalar)
    path = text.removeprefix(_UNIX)
    if not re.fullmatch("/.*[^/]", path) or len(path.encode()) > _SOCKET_PATH:
        raise BadValueError(
            f"{shown(text)} has no absolute path of at most {_SOCKET_PATH} octets; write unix:/run/dnstap.sock"
        )
    return UnixSocket(Path(path))


_EXAMPLE_CIDRS = "a CIDR such as 10.96.0.0/12 or fd00::/108"

Duration = Annotated[float, _duration(0.0)]
LongDuration = Annotated[float, _duration(0.1)]
Silence = Annotated[float, _duration(1.0)]
LeaseDuration = Annotated[float, _duration(4.0)]
Flag = Annotated[bool, Kind(_flag, "true or false", {"type": "boolean"})]
ListenAddress = Annotated[Address, Kind(_listen, "ADDR:PORT, such as 0.0.0.0:53 or [::]:53")]
HttpAddress = Annotated[
    Address | None, Kind(_http, 'ADDR:PORT, such as 127.0.0.1:9153, or "" for none', {"type": ["string", "null"]})
]
ServerAddress = Annotated[
    Address, Kind(_server, "ADDR[:PORT], such as 10.0.0.53 or [fd00::53]:53; fallback: never asks no server at all")
]
UpstreamAddress = Annotated[
    Address | StreamAddress | ServiceAddress | Path,
    Kind(
        _upstream,
        "ADDR[:PORT], tcp://ADDR[:PORT], tls://ADDR[:PORT]#NAME, service://NAMESPACE/NAME or the path of a resolv.conf,"
        " such as 10.0.0.53 or tls://10.0.0.53#dns.corp",
        # The description belongs to each item of the list; items have no other.
        {
            "type": "string",
            "description": "A DNS server, a Service of a cluster that is one, or a resolv.conf(5) that names some.",
        },
    ),
]
Host = Annotated[IPAddress, Kind(_host, "an IP address such as 10.0.0.1 or fd00::1, without a port")]
Cidr = Annotated[Network, Kind(_cidr, _EXAMPLE_CIDRS)]
Client = Annotated[Network | Literal["private"], Kind(_client, f"private, or {_EXAMPLE_CIDRS}")]
Zone = Annotated[str, Kind(_zone, "a DNS name such as cluster.local")]
ForwardZone = Annotated[str, Kind(_forward_zone, 'a DNS name such as corp.example, or "."')]
Label = Annotated[str, Kind(_label, "a name of up to 63 letters, digits, '-', '_' and '.'")]
Text = Annotated[str, Kind(_text, "printable text")]
CharacterString = Annotated[str, Kind(_character_string, "printable text of up to 255 octets")]
File = Annotated[Path, Kind(_file, "a path")]
Tap = Annotated[UnixSocket | Path, Kind(_tap, "unix:/PATH, or a path")]
TableSource = Annotated[Path | Literal["kernel"], Kind(_table, "a path, or kernel for this host's own")]
