"""The settings of the companion that pushes routes (see schema)."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from dnsbridge.config.section import Auto, Port, Section
from dnsbridge.config.values import Cidr, File, Flag, Host, HttpAddress, Label, LeaseDuration, TableSource, Text, whole

Via = Literal["auto", "nodes", "gateways"]
Sink = Literal["kernel", "bgp", "bird", "frr", "file"]
External = Literal["load_balancer", "external_ip"]
Unrouted = Literal["answer", "omit"]
ExportFormat = Literal[
    "iproute2",
    "route-add",
    "macos",
    "windows",
    "powershell",
    "netplan",
    "networkd",
    "nmcli",
    "openvpn",
    "wireguard",
    "dhcp-dnsmasq",
    "dhcp-kea",
    "dhcp-hex",
    "bird",
    "frr",
    "junos",
    "ios",
    "huawei-vrp",
    "json",
]


class Gateways(Section, frozen=True):
    """The nodes that routes lead through."""

    selector: Annotated[Text, Meta(description="The label selector of the nodes that are gateways.")] = (
        "node-role.kubernetes.io/gateway="
    )
    addresses: Annotated[
        tuple[Host, ...],
        Meta(description="The gateways by address, instead of by label; what is asked of them goes through all alike."),
    ] = ()
    probe: Annotated[
        Port | None,
        Meta(description="A TCP port that a gateway answers on (open or refused); one that is silent is left out."),
    ] = None


class Kernel(Section, frozen=True):
    """The routes in this host's kernel."""

    table: Annotated[Annotated[int, whole(1, 2**32 - 1)], Meta(description="The number of the table; 254 is main.")] = (
        254
    )
    protocol: Annotated[
        Annotated[int, whole(5, 255)],
        Meta(description="The routing protocol number that marks our routes (rtnetlink); no other program may use it."),
    ] = 83
    metric: Annotated[
        Annotated[int, whole(0, 2**32 - 1)], Meta(description="The metric; 0 is the kernel's own default.")
    ] = 0


class BgpPeer(Section, frozen=True):
    """A router that the routes are announced to."""

    address: Annotated[Host | None, Meta(description="The address of the router.")] = None
    port: Annotated[Port, Meta(description="Its TCP port.")] = 179
    asn: Annotated[Annotated[int, whole(0, 2**32 - 1)], Meta(description="Its AS number.")] = 0
    password_file: Annotated[File | None, Meta(description="A file with the TCP MD5 password (RFC 2385).")] = None


class Bgp(Section, frozen=True):
    """Routes announced over BGP."""

    asn: Annotated[Annotated[int, whole(0, 2**32 - 1)], Meta(description="Our AS number; needed.")] = 0
    router_id: Annotated[Host | None, Meta(description="An IPv4 address that names us; null is our own address.")] = (
        None
    )
    local_address: Annotated[
        Host | None, Meta(description="The address that sessions come from; null is the kernel's choice.")
    ] = None
    peers: Annotated[tuple[BgpPeer, ...], Meta(description="The routers that are told.")] = ()
    hold_time: Annotated[
        Annotated[int, whole(3, 65535)],
        Meta(description="Seconds of silence that end a session (RFC 4271)."),
    ] = 90
    graceful_restart: Annotated[
        Annotated[int, whole(0, 4095)],
        Meta(description="Seconds for which peers keep the routes when we are gone (RFC 4724); 0 is off."),
    ] = 120


class Bird(Section, frozen=True):
    """Routes as a file that BIRD includes."""

    file: Annotated[File, Meta(description="The file that is written, included in bird.conf.")] = Path(
        "/etc/bird/dnsbridge.conf"
    )
    config: Annotated[File, Meta(description="The bird.conf that includes it: what BIRD's parser checks.")] = Path(
        "/etc/bird/bird.conf"
    )
    socket: Annotated[File | None, Meta(description="BIRD's control socket; null is BIRD's default.")] = None


class Frr(Section, frozen=True):
    """Routes as static routes of FRR, given through vtysh."""

    vty_dir: Annotated[File | None, Meta(description="The folder of FRR's sockets; null is FRR's default.")] = None


class RoutesFile(Section, frozen=True):
    """Routes as a file for some other program."""

    path: Annotated[File | None, Meta(description="The file that is written; needed.")] = None
    format: Annotated[ExportFormat, Meta(description="What is written, as of dnsbridge routes export.")] = "json"


class Lease(Section, frozen=True):
    """Leader election: one of several companions drives the sinks that only one may drive."""

    name: Annotated[Label | None, Meta(description="The Lease that they share; null: this is the only one.")] = None
    namespace: Annotated[Label, Meta(description="Its namespace.")] = "kube-system"
    duration: Annotated[LeaseDuration, Meta(description="How long at most nobody leads after a leader has gone.")] = (
        15.0
    )


class Pull(Section, frozen=True):
    """Routes taken from another dnsbridge, for hosts without credentials of the cluster."""

    url: Annotated[
        Text | None, Meta(description="Its HTTP address, such as https://10.0.0.8:9153; null: of our own clusters.")
    ] = None
    token_file: Annotated[File | None, Meta(description="A file with the token that it asks for.")] = None
    ca: Annotated[File | None, Meta(description="A PEM file of who vouches for it; null is the system's.")] = None


class Serve(Section, frozen=True):
    """GET /routes, for hosts that pull their routes from here."""

    token_file: Annotated[
        File | None, Meta(description="A file with the token that they must show; null: this host's clients alone.")
    ] = None
    certificate: Annotated[File | None, Meta(description="A PEM file for HTTPS: certificate and chain.")] = None
    key: Annotated[File | None, Meta(description="A PEM file for HTTPS: the private key.")] = None


class Routes(Section, frozen=True):
    """The routes that make the answered addresses reachable."""

    via: Annotated[Via, Meta(description="Next hops: each node for its own pods, the gateways, or what fits.")] = "auto"
    gateways: Annotated[Gateways, Meta(description="Which nodes are gateways.")] = Gateways()
    service_cidrs: Annotated[
        Auto | tuple[Cidr, ...], Meta(description="The prefixes of ClusterIPs; auto asks the cluster.")
    ] = "auto"
    pod_cidrs: Annotated[Auto | tuple[Cidr, ...], Meta(description="The prefixes of pods; auto asks the cluster.")] = (
        "auto"
    )
    external: Annotated[
        tuple[External, ...],
        Meta(description="Which addresses of services beside ClusterIPs are routed: load_balancer, external_ip."),
    ] = ()
    tables: Annotated[
        tuple[TableSource, ...],
        Meta(
            description="Files with what `ip route`, `route -n` or `netstat -rn` prints on a gateway or node, read "
            "instead of the clusters; or with Calico's blocks, as etcdctl or calicoctl list them; "
            "kernel is the table of this host, where it is one."
        ),
    ] = ()
    aggregate: Annotated[
        Flag,
        Meta(
            description="Merge prefixes that are the halves of one, by the same next hops; one change may cost several."
        ),
    ] = False
    http: Annotated[
        HttpAddress,
        Meta(description='The address of /metrics, /healthz and /readyz of `routes run`; null or "" is none.'),
    ] = None
    sinks: Annotated[tuple[Sink, ...], Meta(description="Where routes are pushed to.")] = ()
    kernel: Annotated[Kernel, Meta(description="The sink kernel.")] = Kernel()
    bgp: Annotated[Bgp, Meta(description="The sink bgp.")] = Bgp()
    bird: Annotated[Bird, Meta(description="The sink bird.")] = Bird()
    frr: Annotated[Frr, Meta(description="The sink frr.")] = Frr()
    file: Annotated[RoutesFile, Meta(description="The sink file.")] = RoutesFile()
    lease: Annotated[Lease, Meta(description="Leader election among several companions.")] = Lease()
    pull: Annotated[Pull, Meta(description="Take the routes from another dnsbridge.")] = Pull()
    serve: Annotated[Serve, Meta(description="Give them to others.")] = Serve()
    unrouted: Annotated[
        Unrouted,
        Meta(description="Addresses in answers to which there is no route: answer, or omit where routed ones remain."),
    ] = "answer"
