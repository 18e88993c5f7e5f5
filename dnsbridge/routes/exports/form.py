"""What an export is made of, and what every format says about itself.

About        what a format needs beside the routes: an interface, DNS servers, zones, a default gateway
Format       a format: what it can carry, and how a route is written in it
Exported     the text, and what a person should know about it
Refused      why there is none
"""

from collections.abc import Callable, Iterator
from enum import Enum
from ipaddress import IPv4Address

from msgspec import Struct

from dnsbridge.routes.model import IPAddress, Note, Route


class About(Struct, frozen=True):
    """What the place is like that the text is for; all of it may be left out."""

    interface: str = ""
    """Where the routes go that name no device: a device, a connection, an adapter."""
    dns: tuple[IPAddress, ...] = ()
    """DNS servers that answer the zones."""
    zones: tuple[str, ...] = ()
    """The names that clients should ask them for."""
    default_gateway: IPv4Address | None = None
    """What a DHCP client's default route leads to."""


class Exported(Struct, frozen=True):
    """A set of routes as text."""

    text: str
    """Ends with a line feed, or is empty."""
    notes: tuple[Note, ...] = ()
    """What the format could not carry."""


class Refused(Struct, frozen=True):
    """There is no text that would do what is wanted."""

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
    """The text for routes that the format can carry: what it cannot has been taken out."""
    use: str = ""
    """How the text is used, for its first comment."""
    comment: str = "#"
    """What a line of comment begins with; empty: the format has none."""
    hops: Hops = Hops.ONE
    devices: Devices = Devices.ANY
    ipv6: bool = True
    interface: str = "an interface"
    """What `About.interface` is here: `a connection`; empty where it has no use."""
    needs_interface: bool = False
    free_names: bool = False
    """Interfaces have any printable name, and are quoted; else they are devices of Linux."""
    check: Callable[[tuple[Route, ...], About], tuple[Note, ...] | Refused] = lambda _routes, _about: ()
    """What else can be said against a set."""
