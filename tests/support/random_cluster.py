"""Small random clusters as slim objects, from a seed: few names and addresses, so that things meet.

Services share namespaces, slices share services, endpoints share hostnames and addresses; names, ports and addresses
come from short lists. `Maker.change` makes one change to a cluster that is already there.
"""

from ipaddress import ip_address, ip_network
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.objects import (
    Endpoint,
    Endpoints,
    EndpointSlice,
    IPPool,
    Key,
    Namespace,
    Node,
    Object,
    Pod,
    Port,
    Service,
    ServiceCIDR,
    Subset,
)
from dnsbridge.zone.lookup import PodsMode

NAMESPACES = ("data", "shop", "kube-system")
SERVICES = ("web", "db", "kafka", "api", "dns")
HOSTNAMES = ("", "", "kafka-0", "kafka-1", "web")
PODS = ("web-7d4f", "kafka-0", "db.with.dots", "p" * 70, "")
PORT_NAMES = ("http", "dns", "dns-tcp", "", "http")
PROTOCOLS = ("TCP", "TCP", "UDP", "SCTP")
PORT_NUMBERS = (53, 80, 9092)
SERVICE_CIDRS = (("10.233.0.0/18",), ("10.96.0.0/12", "fd00:96::/108"), ("10.0.0.0/26",), ("fd00:96::/110",), ())
POD_CIDRS = (("10.244.0.0/24", "10.244.1.0/24"), ("10.233.64.0/18", "fd00:244::/62"), ("fd00:244::/64",), ())
EXTERNAL_ADDRESSES = (b"\xc0\x00\x02\x09", bytes.fromhex("20010db8000000000000000000000009"))
EXTERNAL_NAMES = (
    "www.example.com",
    "www.example.com.",
    "db.data.svc.cluster.local",
    "web.shop.svc.cluster.local",
    "api.shop.svc.cluster.local",
    "kafka.data.svc.cluster.local",
    "no-such.shop.svc.cluster.local",
    "cluster.local",
    "x.cluster.local.corp",
)


class RandomCluster(Struct):
    """A cluster, and how it is answered."""

    objects: dict[Key, Object]
    pods: PodsMode
    pod_names: bool
    """`endpoint_pod_names`."""
    service_cidrs: tuple[str, ...] | None
    """As configured; None: as the objects declare."""
    pod_cidrs: tuple[str, ...] | None
    ns_addresses: tuple[bytes, ...]
    ttl: int
    negative_ttl: int


class Maker:
    """Draws objects; the same seed gives the same ones."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.service_cidrs = random.choice(SERVICE_CIDRS)
        self.pod_cidrs = random.choice(POD_CIDRS)

    def cluster(self) -> RandomCluster:
        """A whole cluster."""
        random = self.random
        objects: list[Object] = [Namespace(name=name) for name in random.sample(NAMESPACES, random.randint(0, 2))]
        objects += [self.service() for _ in range(random.randint(1, 8))]
        objects += [self.endpoint_slice() for _ in range(random.randint(0, 14))]
        objects += [self.endpoints() for _ in range(random.randint(0, 6))]
        objects += [self.pod() for _ in range(random.randint(0, 4))]
        configured = random.random() < 0.3
        if not configured:
            objects += self.declarations()
        return RandomCluster(
            {obj.key: obj for obj in objects},
            random.choice(("disabled", "insecure", "verified")),
            random.random() < 0.4,
            self.service_cidrs if configured else None,
            self.pod_cidrs if configured else None,
            random.choice(
                ((ip_address("192.0.2.53").packed,), (ip_address("2001:db8::53").packed, b"\x7f\x00\x00\x01"))
            ),
            random.choice((5, 30)),
            random.choice((1, 3)),
        )

    def declarations(self) -> list[Object]:
        """The objects that say which prefixes are the cluster's."""
        found: list[Object] = []
        if self.service_cidrs:
            found.append(ServiceCIDR(name="kubernetes", cidrs=self.service_cidrs))
        for number, cidr in enumerate(self.pod_cidrs):
            if self.random.random() < 0.5:
                found.append(IPPool(name=f"pool-{number}", cidr=cidr))
            else:
                found.append(Node(name=f"node-{number}", pod_cidrs=(cidr,)))
        return found

    def service(self) -> Service:
        """Any kind of service."""
        random = self.random
        drawn = random.random()
        namespace, name = random.choice(NAMESPACES), random.choice(SERVICES)
        version = str(random.randrange(3))
        if drawn < 0.05:
            return Service(
                namespace=namespace,
                name=name,
                resource_version=version,
                type="ExternalName",
                external_address=random.choice(EXTERNAL_ADDRESSES),
            )
        if drawn < 0.2:
            return Service(
                namespace=namespace,
                name=name,
                resource_version=version,
                type="ExternalName",
                external_name=random.choice(EXTERNAL_NAMES),
            )
        headless = drawn < 0.6
        return Service(
            namespace=namespace,
            name=name,
            resource_version=version,
            headless=headless,
            cluster_ips=() if headless else self.cluster_ips(),
            ports=self.ports(),
            publish_not_ready=random.random() < 0.2,
        )

    def cluster_ips(self) -> tuple[bytes, ...]:
        """One address, or one of each family; some outside the declared prefixes."""
        cidrs = self.service_cidrs or ("10.1.2.0/24", "fd00:1::/64")
        if self.random.random() < 0.1:
            cidrs = ("172.30.0.0/24",)
        found = [self.address(cidr) for cidr in cidrs]
        return tuple(self.random.sample(found, self.random.randint(1, len(found))))

    def address(self, cidr: str) -> bytes:
        """One of the few addresses of a prefix that are ever used."""
        network = ip_network(cidr)
        host = self.random.choice((1, 2, 3, 7, min(300, network.num_addresses - 1), network.num_addresses - 1))
        return network[host].packed

    def ports(self) -> tuple[Port, ...]:
        """Some ports, distinct as the API server demands: in name, and in number with protocol."""
        random = self.random
        found: dict[tuple[int, str], Port] = {}
        seen: set[str] = set()
        for _ in range(random.randint(0, 4)):
            port = Port(random.choice(PORT_NAMES), random.choice(PROTOCOLS), random.choice(PORT_NUMBERS))
            if port.name not in seen:
                found.setdefault((port.number, port.protocol), port)
                seen.add(port.name)
        return tuple(found.values())

    def endpoint_slice(self) -> EndpointSlice:
        """A slice of one family, of a service that may not exist."""
        random = self.random
        cidrs = self.pod_cidrs or ("10.3.0.0/24", "fd00:3::/64")
        if random.random() < 0.1:
            cidrs = ("192.168.7.0/24",)
        cidr = random.choice(cidrs)
        service = random.choice(SERVICES)
        return EndpointSlice(
            namespace=random.choice(NAMESPACES),
            name=f"{service}-{random.choice('abc')}" if random.random() < 0.9 else "moving",
            resource_version=str(random.randrange(3)),
            service=service,
            endpoints=tuple([self.endpoint(cidr) for _ in range(random.randint(0, 4))]),
            ports=self.ports(),
        )

    def endpoints(self) -> Endpoints:
        """Endpoints of one family or of both, of a service that may not exist or has slices."""
        random = self.random
        cidrs = self.pod_cidrs or ("10.3.0.0/24", "fd00:3::/64")
        return Endpoints(
            namespace=random.choice(NAMESPACES),
            name=random.choice(SERVICES),
            resource_version=str(random.randrange(3)),
            subsets=tuple(
                Subset(
                    tuple(self.endpoint(random.choice(cidrs)) for _ in range(random.randint(1, 3))),
                    self.ports(),
                )
                for _ in range(random.randint(1, 2))
            ),
        )

    def endpoint(self, cidr: str) -> Endpoint:
        """An endpoint with one address, seldom two."""
        random = self.random
        addresses = {self.address(cidr): None for _ in range(1 if random.random() < 0.9 else 2)}
        return Endpoint(tuple(addresses), random.choice(HOSTNAMES), random.random() < 0.7, random.choice(PODS))

    def pod(self) -> Pod:
        """A pod; several may have one address (`hostNetwork`), and a new one has none yet."""
        random = self.random
        cidrs = random.sample(self.pod_cidrs, random.randint(1, len(self.pod_cidrs))) if self.pod_cidrs else []
        return Pod(
            namespace=random.choice(NAMESPACES),
            name=f"pod-{random.choice('abc')}",
            addresses=tuple(dict.fromkeys(self.address(cidr) for cidr in cidrs)),
        )

    def change(self, held: dict[Key, Object]) -> Change:
        """One change to what is held."""
        random = self.random
        drawn = random.random()
        if held and drawn < 0.25:
            return Gone(random.choice(list(held)))
        if drawn < 0.27:
            return Gone(Key("Service", "data", "never-there"))
        if held and drawn < 0.5:
            return Put(self.altered(random.choice(list(held.values()))))
        makers = (self.service, self.endpoint_slice, self.endpoint_slice, self.endpoints, self.pod, self.other)
        return Put(random.choice(makers)())

    def other(self) -> Object:
        """A namespace or a declaration of prefixes."""
        random = self.random
        if random.random() < 0.6:
            return Namespace(name=random.choice(NAMESPACES))
        name, cidrs = f"node-{random.randrange(2)}", random.choice(POD_CIDRS)
        return random.choice((Node(name=name, pod_cidrs=cidrs), ServiceCIDR(name="a", cidrs=self.service_cidrs)))

    def altered(self, obj: Object) -> Object:
        """The object with one thing different: readiness, a port's name, a pod behind an address, the service."""
        random = self.random
        if isinstance(obj, EndpointSlice) and obj.endpoints:
            endpoints = list(obj.endpoints)
            at = random.randrange(len(endpoints))
            endpoint = endpoints[at]
            endpoints[at] = random.choice(
                (
                    replace(endpoint, ready=not endpoint.ready),
                    replace(endpoint, hostname=random.choice(HOSTNAMES)),
                    replace(endpoint, pod=random.choice(PODS)),
                )
            )
            moved = random.choice(SERVICES) if random.random() < 0.2 else obj.service
            return replace(obj, endpoints=tuple(endpoints), service=moved)
        if isinstance(obj, Service):
            if obj.ports and random.random() < 0.5:
                renamed = replace(obj.ports[0], name="renamed")
                return replace(obj, ports=(renamed, *obj.ports[1:]))
            return replace(obj, resource_version=obj.resource_version + "1")
        return replace(obj, resource_version=obj.resource_version + "1")
