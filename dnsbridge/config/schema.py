"""Every setting: its name, type, default and one sentence about it.

The classes have the shape of the configuration file: a section is a class, a list of sections is a tuple of that class.
"""

from typing import Annotated, Literal

from msgspec import Meta

from dnsbridge.config.log import Log
from dnsbridge.config.routes import Routes
from dnsbridge.config.section import Auto, Section
from dnsbridge.config.values import (
    PRIVATE,
    Address,
    CharacterString,
    Client,
    Duration,
    File,
    Flag,
    ForwardZone,
    Host,
    HttpAddress,
    Label,
    ListenAddress,
    LongDuration,
    Network,
    ServerAddress,
    Silence,
    StreamAddress,
    Text,
    UpstreamAddress,
    Zone,
    whole,
)

Denied = Literal["refuse", "drop"]
Pods = Literal["disabled", "insecure", "verified"]
Fallback = Literal["never", "unsynced", "unknown", "miss"]
Policy = Literal["sequential", "random", "round_robin", "fastest"]
Seconds = Annotated[int, whole(0, 86400)]
Limit = Annotated[int, whole(1, 1_000_000)]


class Access(Section, frozen=True):
    """Who may ask."""

    allow: Annotated[
        tuple[Client, ...],
        Meta(description="Clients that may ask: CIDRs, or private (RFC 1918, unique local, loopback, link-local)."),
    ] = ("private",)
    denied: Annotated[
        Denied, Meta(description="What any other client gets: the RCODE REFUSED, or nothing at all (drop).")
    ] = "refuse"
    response_rate: Annotated[
        Auto | Annotated[int, whole(0, 1_000_000)],
        Meta(
            description="Equal responses a second over UDP to one client network (/24, /56); more are truncated or "
            "dropped. auto is 20 outside the private networks and no limit inside, a number is for all, 0 no limit."
        ),
    ] = "auto"

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks that may ask, `private` written out."""
        return tuple(network for each in self.allow for network in (PRIVATE if isinstance(each, str) else (each,)))


class Tcp(Section, frozen=True):
    """Bounds of DNS over TCP."""

    connections: Annotated[Limit, Meta(description="Connections open at the same time, in all.")] = 1000
    connections_per_client: Annotated[
        Limit, Meta(description="Connections open at the same time from one client address.")
    ] = 100
    idle_timeout: Annotated[
        LongDuration, Meta(description="A connection without a query for this long is closed (RFC 7766 section 6.2.3).")
    ] = 10.0
    queries_in_flight: Annotated[
        Limit, Meta(description="Queries of one connection that may wait for their answer at the same time.")
    ] = 100


class Selector(Section, frozen=True):
    """Which objects of a resource are read."""

    labels: Annotated[Text | None, Meta(description="A label selector, as kubectl --selector takes it.")] = None
    fields: Annotated[Text | None, Meta(description="A field selector, as kubectl --field-selector takes it.")] = None


class Selectors(Section, frozen=True):
    """Which objects are read, by resource; all of a resource without a selector."""

    services: Annotated[Selector, Meta(description="Which services are read.")] = Selector()
    endpointslices: Annotated[Selector, Meta(description="Which endpoint slices are read.")] = Selector()
    endpoints: Annotated[
        Selector, Meta(description="Which Endpoints are read, where a cluster has no endpoint slices.")
    ] = Selector()
    namespaces: Annotated[Selector, Meta(description="Which namespaces are read.")] = Selector()
    pods: Annotated[Selector, Meta(description="Which pods are read, with pods: verified.")] = Selector()

    def by_kind(self) -> dict[str, tuple[str, Selector]]:
        """The name of each setting and its selector, by the kind of the objects."""
        return {
            "Service": ("services", self.services),
            "EndpointSlice": ("endpointslices", self.endpointslices),
            "Endpoints": ("endpoints", self.endpoints),
            "Namespace": ("namespaces", self.namespaces),
            "Pod": ("pods", self.pods),
        }


class Source(Section, frozen=True):
    """Where the Kubernetes objects of a cluster come from; empty: in a pod its own API server, else the kubeconfig."""

    manifests: Annotated[
        File | None, Meta(description="A YAML file or a folder of them to read objects from, instead of an API server.")
    ] = None
    kubeconfig: Annotated[
        File | None, Meta(description="The kubeconfig to use; null is $KUBECONFIG or ~/.kube/config.")
    ] = None
    context: Annotated[Text | None, Meta(description="The context of the kubeconfig; null is its current context.")] = (
        None
    )
    in_cluster: Annotated[
        Flag, Meta(description="Use the API server and the service account of the pod that this runs in.")
    ] = False
    selectors: Annotated[
        Selectors, Meta(description="Which objects are read from the API server, or from the files.")
    ] = Selectors()
    silence: Annotated[
        Silence, Meta(description="A connection to the API server that is silent for so long is given up and renewed.")
    ] = 60.0


class Cluster(Section, frozen=True):
    """A Kubernetes cluster, whose names are answered."""

    name: Annotated[Label, Meta(description="What the cluster is called in logs, metrics and answers about it.")] = (
        "default"
    )
    zone: Annotated[Zone, Meta(description="The DNS zone of the cluster (the cluster domain of the kubelet).")] = (
        "cluster.local"
    )
    aliases: Annotated[tuple[Zone, ...], Meta(description="Further zones in which the same names are answered.")] = ()
    source: Annotated[Source, Meta(description="Where the cluster's objects come from.")] = Source()
    ttl: Annotated[Seconds, Meta(description="The TTL of answers, in seconds.")] = 5
    negative_ttl: Annotated[Seconds, Meta(description="The TTL of answers without data (RFC 2308), in seconds.")] = 1
    pods: Annotated[
        Pods,
        Meta(description="Names A-B-C-D.NS.pod: none, any address (insecure), or those of existing pods (verified)."),
    ] = "insecure"
    endpoint_pod_names: Annotated[
        Flag, Meta(description="An endpoint without a hostname is called by its pod's name, not by its address.")
    ] = False
    coredns: Annotated[
        Auto | ServerAddress,
        Meta(description="The cluster's own DNS server; auto is the ClusterIP of kube-system/kube-dns."),
    ] = "auto"
    fallback: Annotated[
        Fallback,
        Meta(
            description="When a question goes to the cluster's own DNS server: the cache is not current, or also "
            "the name is of an unknown shape, or also there is no such name (miss)."
        ),
    ] = "unknown"
    max_staleness: Annotated[Duration, Meta(description="For how long the cache is current without a live watch.")] = (
        60.0
    )
    precedence: Annotated[
        Annotated[int, whole(-1000, 1000)],
        Meta(description="Of clusters that claim the same zone, alias or CIDR, the one with the highest has it."),
    ] = 0


class Forward(Section, frozen=True):
    """A zone whose questions go to other DNS servers."""

    zone: Annotated[
        ForwardZone, Meta(description='The names that are forwarded: this and all below; "." is all names.')
    ] = "."
    upstreams: Annotated[
        tuple[UpstreamAddress, ...],
        Meta(
            description="The DNS servers to ask, and files like /etc/resolv.conf that name some, which are followed; "
            'for the zone "." an empty list is /etc/resolv.conf.'
        ),
    ] = ()
    ca: Annotated[
        File | None,
        Meta(description="A PEM file of the authorities that vouch for tls:// upstreams; null is the system's."),
    ] = None
    policy: Annotated[Policy, Meta(description="The order in which the upstreams are asked.")] = "sequential"
    random_case: Annotated[
        Flag, Meta(description="Names go out in random case and must come back in it, which is hard to forge (0x20).")
    ] = False

    @property
    def uses_tls(self) -> bool:
        """Whether an upstream is asked over TLS."""
        return any(isinstance(each, StreamAddress) and each.tls for each in self.upstreams)


class Cache(Section, frozen=True):
    """The cache of forwarded answers."""

    size: Annotated[
        Annotated[int, whole(0, 10_000_000)], Meta(description="Answers kept at most; 0 switches the cache off.")
    ] = 100_000
    serve_stale: Annotated[
        Duration, Meta(description="For how long an expired answer is used while no upstream answers (RFC 8767).")
    ] = 3600.0
    prefetch: Annotated[Flag, Meta(description="Answers that are asked often are fetched anew before they expire.")] = (
        True
    )


class Settings(Section, frozen=True):
    """All settings of dnsbridge."""

    listen: Annotated[
        tuple[ListenAddress, ...], Meta(description="Addresses for DNS, each over UDP and TCP; port 0 is any free one.")
    ] = (Address("0.0.0.0", 53), Address("::", 53))
    http: Annotated[
        HttpAddress,
        Meta(
            description='The address of the status page, /metrics, /healthz, /readyz and /routes; null or "" is none.'
        ),
    ] = Address("127.0.0.1", 9153)
    access: Annotated[Access, Meta(description="Who may ask.")] = Access()
    ns_addresses: Annotated[
        tuple[Host, ...], Meta(description="The addresses of ns.dns.ZONE; an empty list is where the server listens.")
    ] = ()
    version_bind: Annotated[
        CharacterString | None, Meta(description="The answer to version.bind in class CHAOS; null refuses it.")
    ] = None
    tcp: Annotated[Tcp, Meta(description="Bounds of DNS over TCP.")] = Tcp()
    clusters: Annotated[tuple[Cluster, ...], Meta(description="The clusters whose names are answered.")] = (Cluster(),)
    forward: Annotated[
        tuple[Forward, ...], Meta(description="Where all other names are asked; of several zones the longest match.")
    ] = (Forward(),)
    cache: Annotated[Cache, Meta(description="The cache of forwarded answers.")] = Cache()
    log: Annotated[Log, Meta(description="What is written about the program and its questions.")] = Log()
    routes: Annotated[Routes, Meta(description="Routes to the answered addresses.")] = Routes()
    state_dir: Annotated[
        File | None,
        Meta(
            description="A folder for what was last read from API servers, to answer from after a restart; null: none."
        ),
    ] = None
    workers: Annotated[
        Annotated[int, whole(1, 256)],
        Meta(
            description="Processes that answer on the listen addresses; from 2 on one more process holds the clusters."
        ),
    ] = 1
