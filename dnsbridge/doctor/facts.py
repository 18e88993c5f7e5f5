"""What the doctor gathers once, before it judges. Addresses are texts in canonical form; names have no final dot.

Reply      what a DNS server, or this host's own resolver, says of the name
Scope      the name servers and domains that systemd-resolved has for one link
Source     where a cluster's objects come from, and how they are
Record     what the clusters' objects say of the name
Service    the service behind the name
Way        how this host sends packets to one address
Planned    where the plan would send them
Connect    what became of a TCP connection to one address
Trail      how far packets get to an address that is silent
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

MANIFESTS, KUBECONFIG = "manifests ", "kubeconfig "
"""What the place of a source begins with; then comes a path, and of a kubeconfig `, context NAME` where it is named."""
DEAD = ("failed", "incomplete")
"""States of a neighbour that does not answer."""


class Reply(Struct, frozen=True):
    """An answer, or why there is none."""

    server: str
    rcode: str = ""
    """Empty: there was no answer."""
    addresses: tuple[str, ...] = ()
    problem: str = ""
    """Why there was no answer: `connection refused`, `no answer within 3 s`."""
    errors: tuple[str, ...] = ()
    """The texts of extended errors (RFC 8914), each with its number."""
    unchecked: tuple[str, ...] = ()
    """Of a wrong answer: the addresses of one without validation (CD, RFC 4035 section 3.2.2)."""
    has_zone: bool = False
    """Of a wrong answer: that to a name which nobody has asked for yet comes from the cluster's zone."""


class Scope(Struct, frozen=True):
    """What systemd-resolved has for a link, or for all of them (systemd-resolved.service(8), Protocols and Routing)."""

    link: str
    """Empty: all links."""
    servers: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    """As resolvectl(1) shows them: `~cluster.local` only says where names below it go, `~.` is for all names."""
    replies: tuple[Reply, ...] = ()
    """What its servers say."""


class Source(Struct, frozen=True):
    """A cluster's source."""

    cluster: str
    where: str
    """`manifests PATH`, `kubeconfig PATH`, or another credential."""
    fresh: bool
    problem: str = ""
    """Why it could not be read."""


class Record(Struct, frozen=True):
    """What there is by that name."""

    rcode: str
    source: Literal["cluster", "coredns", "forward", "none"]
    cluster: str
    because: str
    objects: tuple[str, ...] = ()
    """`Service shop/web`."""
    addresses: tuple[str, ...] = ()
    nearest: tuple[str, ...] = ()
    """Names that there are, the most alike first, where the name is none."""
    zone: str = ""
    """The cluster's zone, or its alias, above the name."""


class Service(Struct, frozen=True):
    """The service behind the name."""

    name: str
    """`shop/web`."""
    kind: Literal["ClusterIP", "headless", "ExternalName"]
    ready: int
    not_ready: int
    ports: tuple[int, ...] = ()
    """TCP ports at which its addresses are connected to."""


class Way(Struct, frozen=True):
    """How the kernel would send packets to an address."""

    address: str
    kind: str
    """`unicast`, `local`, `blackhole`, `unreachable`, `prohibit`; `none`: no route."""
    prefix: str = ""
    via: str = ""
    """The next hop; empty: the address itself is on the link."""
    device: str = ""
    owner: str = ""
    """Who set the route: `static`, `bird`, `dnsbridge`."""
    device_kind: str = ""
    """`tun`, `wireguard`, `vxlan`; empty for hardware."""
    neighbour: str = ""
    """What the kernel knows of the next hop: `reachable`, `stale`, `failed`, `incomplete`; empty: nothing."""


class Planned(Struct, frozen=True):
    """The next hops of the plan, through nodes and through gateways: the options of an earlier apply are unknown."""

    to: Mapping[str, tuple[str, ...]] = {}
    """By address; of one that is not here the plan knows nothing."""
    all: frozenset[str] = frozenset()
    """Those of every route."""


class Connect(Struct, frozen=True):
    """What became of a connection."""

    address: str
    port: int
    result: Literal["open", "refused", "silent", "unreachable"]
    seconds: float = 0.0
    problem: str = ""
    """Of one that is unreachable: what was said."""
    mtu: int = 0
    """Octets of the largest packet that would be sent, as far as both ends know the way; 0: nothing is known."""
    fits: int = 0
    """Octets of the largest packet that was seen to arrive; 0: none was answered."""


class Trail(Struct, frozen=True):
    """How far packets get, as ICMP errors show it."""

    address: str
    source: str
    """This host's address that they come from."""
    routers: tuple[str, ...] = ()
    """Those that pass them on, the nearest first."""
    arrives: bool = False
    """The address itself answers other packets."""
    next_hop_answers: bool = False
    """The next hop answers packets to itself."""


class Facts(Struct, frozen=True):
    """All of it. None, or nothing in a list: it was not looked at."""

    name: str
    port: int | None = None
    settings: str = ""
    """What is wrong with the settings."""
    settings_from: str = "defaults"
    here: Reply | None = None
    """What a dnsbridge on this host says."""
    sources: tuple[Source, ...] = ()
    record: Record | None = None
    service: Service | None = None
    unannounced: str = ""
    """The prefix of ClusterIPs that Calico announces to nobody, though it announces pods over BGP; empty: none."""
    resolvers: tuple[Reply, ...] = ()
    """What the name servers of this host say, or those that were named."""
    name_servers: tuple[str, ...] = ()
    """Those of this host (resolv.conf(5)); `resolvers` may be others."""
    nsswitch: tuple[str, ...] = ()
    """The words of the line `hosts` of nsswitch.conf(5)."""
    search: tuple[str, ...] = ()
    """The search list of resolv.conf(5)."""
    ndots: int = 1
    """Dots of a name that make the search list come after the name itself (resolv.conf(5))."""
    scopes: tuple[Scope, ...] = ()
    """Those of systemd-resolved, where this host asks it."""
    system: Reply | None = None
    """What programs of this host get (getaddrinfo(3))."""
    absolute: Reply | None = None
    """The same for the name with a final dot, which no search list is for."""
    ways: tuple[Way, ...] = ()
    planned: Planned = Planned()
    connects: tuple[Connect, ...] = ()
    trails: tuple[Trail, ...] = ()
    """Of silent connections."""
    turned_away: int = 0
    """Packets that this host dropped meanwhile by the reverse path filter (rp_filter, RFC 3704)."""
    strict: tuple[str, ...] = ()
    """Devices that take no packet whose sender is not reached through them (rp_filter 1)."""

    @property
    def zone(self) -> str:
        """The zone of the name; without a record what comes after `svc`, or the name."""
        return (self.record and self.record.zone) or self.name.partition(".svc.")[2] or self.name

    @property
    def wanted(self) -> tuple[str, ...]:
        """The addresses that the name should give; without a record those that an office resolver gives."""
        if self.record and self.record.addresses:
            return self.record.addresses
        return next((reply.addresses for reply in self.resolvers if reply.addresses), ())

    def way_to(self, address: str) -> Way | None:
        """How this host sends packets to an address; None: that is not known."""
        return next((way for way in self.ways if way.address == address), None)

    def is_right(self, reply: Reply) -> bool:
        """Whether there is an answer with the addresses that the name should give."""
        return bool(reply.rcode) and set(reply.addresses) == set(self.wanted)
