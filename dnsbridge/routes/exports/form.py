"""The parts of an export, and the description of a format.

About        the input of a format beside the routes: an interface, DNS servers, zones, a default gateway
Format       a format: what it can carry, and how it writes a route
Exported     the text, and notes for people
Refused      why there is no text
"""

from collections.abc import Callable, Iterator
from enum import Enum
from ipaddress import IPv4Address

from msgspec import Struct

from dnsbridge.routes.model import IPAddress, Note, Route


class About(Struct, frozen=True):
    """The place that the text is for; every field may be left out."""

    interface: str = ""
    """The device, connection or adapter of routes that name no device."""
    dns: tuple[IPAddress, ...] = ()
    """DNS servers that answer the zones."""
    zones: tuple[str, ...] = ()
    """The zones that clients should ask these servers about."""
    default_gateway: IPv4Address | None = None
    """The gateway of a DHCP client's default route."""


class Exported(Struct, frozen=True):
    """A set of routes as text."""

    text: str
    """Ends with a line feed, or is empty."""
    notes: tuple[Note, ...] = ()
    """What the format could not carry."""


class Refused(Struct, frozen=True):
    """No text can do what is wanted."""

    problem: str
    """Why, and what to do, in one line."""


class Devices(Enum):
    """Which devices the next hops of a format can name."""

    ANY = "those of a host like this one"
    INTERFACE = "the one interface that the text is for"
    NONE = "none: to any other system the names of devices here mean nothing"


class Hops(Enum):
    """How many next hops a format gives a route."""

    WEIGHTED = "several, with weights"
    EQUAL = "several, all alike"
    ONE = "one"
    NONE = "none: whoever takes the text knows the way"


Lines = Callable[[tuple[Route, ...], About], Iterator[str]]


class Format(Struct, frozen=True):
    """One format."""

    name: str
    help: str
    """One line for people."""
    lines: Lines
    """The lines for routes that the format can carry; all else was removed before."""
    use: str = ""
    """How the text is used, for its first comment."""
    comment: str = "#"
    """The start of a comment line; empty: the format has no comments."""
    hops: Hops = Hops.ONE
    devices: Devices = Devices.ANY
    ipv6: bool = True
    interface: str = "an interface"
    """What `About.interface` is here, such as `a connection`; empty: unused."""
    needs_interface: bool = False
    dns: bool = False
    """Whether the text includes DNS servers and zones."""
    free_names: bool = False
    """Interface names may be any printable text, and are quoted; otherwise they are Linux devices."""
    check: Callable[[tuple[Route, ...], About], tuple[Note, ...] | Refused] = lambda _routes, _about: ()
    """Further checks of a set: notes, or a refusal."""
