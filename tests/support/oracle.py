"""What a cluster must answer, the naive way: every record of the cluster as text, in dictionaries of dnspython names.

    Model.expected(question)     the expected message, or None for a question that is not the cluster's

It shares no code with the package but the slim objects. Names and data are texts that dnspython reads; what exists is
the set of all owners and all names above them.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import TypeVar

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset

from dnsbridge.cluster.objects import (
    Endpoint,
    Endpoints,
    EndpointSlice,
    IPPool,
    Namespace,
    Node,
    Object,
    Pod,
    Service,
    ServiceCIDR,
    Subset,
)
from tests.support.random_cluster import RandomCluster

Network = IPv4Network | IPv6Network
Held = TypeVar("Held", bound=Object)
TypedData = dict[str, dict[str, None]]
"""Type -> data, in order."""
Records = dict[dns.name.Name, TypedData]
MAX_CHAIN = 10
ARPA = dns.name.from_text("arpa.")


def dashed(address: bytes) -> str:
    """An address as a label."""
    label = str(ip_address(address)).replace(".", "-").replace(":", "-")
    return ("0" if label.startswith("-") else "") + label + ("0" if label.endswith("-") else "")


def undashed(label: str) -> str | None:
    """The address that a label spells, as text."""
    if not set(label) <= set("0123456789abcdef-"):
        return None
    for mark in ".:":
        try:
            return str(ip_address(label.replace("-", mark)))
        except ValueError:
            pass
    return None


def packed(held: dns.name.Name | dns.rdata.Rdata) -> bytes:
    """The octets of a name or of record data, uncompressed."""
    wire = held.to_wire()
    assert wire is not None
    return wire


def kind_of(address: str) -> str:
    """The type of the record that holds an address."""
    return "AAAA" if ":" in address else "A"


class Model:
    """One cluster, its zone and its aliases (texts with a final dot)."""

    def __init__(self, cluster: RandomCluster, zone: str, aliases: tuple[str, ...], serial: int) -> None:
        self.cluster = cluster
        self.zone = zone
        self.suffixes = (zone, *aliases)
        self.serial = serial
        self.namespaces = {obj.name for obj in self.all(Namespace)}
        self.namespaces |= {obj.namespace for obj in self.all(Service)}
        self.namespaces |= {obj.namespace for obj in self.all(Pod) if obj.addresses}
        self.pod_addresses = {(obj.namespace, str(ip_address(one))) for obj in self.all(Pod) for one in obj.addresses}
        self.zones = {suffix: self.forward(suffix) for suffix in self.suffixes}
        self.pointers = self.reverse()
        self.apexes = {dns.name.from_text(apex) for apex in self.reverse_zones()}
        self.existing = {name.split(depth)[1] for name in self.owners() for depth in range(1, len(name.labels) + 1)}

    def all(self, kind: type[Held]) -> list[Held]:
        """All objects of a kind."""
        return [obj for obj in self.cluster.objects.values() if isinstance(obj, kind)]

    def owners(self) -> Iterator[dns.name.Name]:
        """Every name with records, and those that exist without."""
        for suffix, records in self.zones.items():
            yield from records
            yield dns.name.from_text(f"svc.{suffix}")
            yield dns.name.from_text(f"pod.{suffix}")
            for namespace in self.namespaces:
                yield dns.name.from_text(f"{namespace}.svc.{suffix}")
                if self.cluster.pods != "disabled":
                    yield dns.name.from_text(f"{namespace}.pod.{suffix}")
        yield from self.pointers
        yield from self.apexes

    def subsets(self, service: Service) -> Iterator[EndpointSlice | Subset]:
        """Endpoints x ports: the service's slices, and where it has none the subsets of its Endpoints."""
        slices = [
            held
            for held in sorted(self.all(EndpointSlice), key=lambda held: held.name)
            if (held.namespace, held.service) == (service.namespace, service.name)
        ]
        yield from slices
        for held in () if slices else self.all(Endpoints):
            if (held.namespace, held.name) == (service.namespace, service.name):
                yield from held.subsets

    def endpoints(self, service: Service) -> Iterator[tuple[EndpointSlice | Subset, Endpoint, str, str]]:
        """(slice or subset, endpoint, address, label) of what is ready."""
        for held in self.subsets(service):
            for endpoint in held.endpoints:
                if endpoint.ready or service.publish_not_ready:
                    for address in endpoint.addresses:
                        label = endpoint.hostname
                        if not label and self.cluster.pod_names and "." not in endpoint.pod and len(endpoint.pod) < 64:
                            label = endpoint.pod
                        yield held, endpoint, str(ip_address(address)), label or dashed(address)

    def forward(self, suffix: str) -> Records:
        """All records below one suffix."""
        found: Records = {}

        def add(owner: str, rtype: str, data: str) -> None:
            found.setdefault(dns.name.from_text(owner), {}).setdefault(rtype, {})[data] = None

        for rtype, data in self.authority(suffix).items():
            add(suffix, rtype, data)
        add(f"dns-version.{suffix}", "TXT", '"1.1.0"')
        for server in self.cluster.ns_addresses:
            add(f"ns.dns.{suffix}", kind_of(str(ip_address(server))), str(ip_address(server)))
        if self.cluster.pods == "verified":
            for namespace, address in self.pod_addresses:
                add(f"{dashed(ip_address(address).packed)}.{namespace}.pod.{suffix}", kind_of(address), address)
        for service in self.all(Service):
            owner = f"{service.name}.{service.namespace}.svc.{suffix}"
            if service.external_address:
                address = str(ip_address(service.external_address))
                add(owner, kind_of(address), address)
                continue
            if service.type == "ExternalName":
                add(owner, "CNAME", self.renamed(service.external_name, suffix))
                continue
            servers: dict[str, list[tuple[int, str]]] = {}
            for packed_ip in service.cluster_ips:
                add(owner, kind_of(str(ip_address(packed_ip))), str(ip_address(packed_ip)))
            for held, _, address, label in self.endpoints(service):
                add(f"{label}.{owner}", kind_of(address), address)
                if service.headless:
                    add(owner, kind_of(address), address)
                    for port in held.ports:
                        servers.setdefault(owner, []).append((port.number, f"{label}.{owner}"))
                        if port.name:
                            named = f"_{port.name}._{port.protocol.lower()}.{owner}"
                            servers.setdefault(named, []).append((port.number, f"{label}.{owner}"))
            for port in () if service.headless else service.ports:
                servers.setdefault(owner, []).append((port.number, owner))
                if port.name:
                    servers.setdefault(f"_{port.name}._{port.protocol.lower()}.{owner}", []).append(
                        (port.number, owner)
                    )
            for name, targets in servers.items():
                weight = max(1, 100 // len(set(targets)))
                for number, target in targets:
                    add(name, "SRV", f"0 {weight} {number} {target}")
        return found

    def renamed(self, external_name: str, suffix: str) -> str:
        """A name of the cluster under another suffix; any other as it is."""
        target = external_name.removesuffix(".") + "."
        if target == self.zone:
            return suffix
        return target.removesuffix(self.zone) + suffix if target.endswith("." + self.zone) else target

    def authority(self, zone: str) -> dict[str, str]:
        """SOA and NS that name the server below a zone."""
        numbers = f"{self.serial} 7200 1800 86400 {self.cluster.negative_ttl}"
        return {"SOA": f"ns.dns.{zone} hostmaster.{zone} {numbers}", "NS": f"ns.dns.{zone}"}

    def reverse(self) -> Records:
        """All PTR records."""
        found: Records = {}
        for service in self.all(Service):
            owner = f"{service.name}.{service.namespace}.svc.{self.zone}"
            pairs = [(str(ip_address(address)), owner) for address in service.cluster_ips]
            if service.type != "ExternalName":
                pairs += [(address, f"{label}.{owner}") for _, _, address, label in self.endpoints(service)]
            for address, target in pairs:
                name = dns.name.from_text(ip_address(address).reverse_pointer)
                found.setdefault(name, {}).setdefault("PTR", {})[target] = None
        return found

    def reverse_zones(self) -> Iterator[str]:
        """The apexes of the reverse zones that the cluster owns, as text."""
        declared = {obj.cidrs: None for obj in self.all(ServiceCIDR)}
        services = [cidr for cidrs in declared for cidr in cidrs]
        pods = [obj.cidr for obj in self.all(IPPool)] + [cidr for obj in self.all(Node) for cidr in obj.pod_cidrs]
        for configured, said, known in (
            (self.cluster.service_cidrs, services, self.service_addresses()),
            (self.cluster.pod_cidrs, pods, self.endpoint_addresses()),
        ):
            networks = [ip_network(cidr) for cidr in (said if configured is None else configured)]
            for version in (4, 6):
                family = [network for network in networks if network.version == version]
                if configured is None and not family:
                    family = [network for network in map(ip_network, known) if network.version == version]
                for network in collapsed(family):
                    yield from zones_of(network)

    def service_addresses(self) -> set[str]:
        """All ClusterIPs."""
        return {str(ip_address(address)) for service in self.all(Service) for address in service.cluster_ips}

    def endpoint_addresses(self) -> set[str]:
        """All addresses of pods that are ready endpoints."""
        services = [service for service in self.all(Service) if service.type != "ExternalName"]
        ready = {(id(service), address) for service in services for _, _, address, _ in self.endpoints(service)}
        return {
            address
            for service in services
            for held in self.subsets(service)
            for endpoint in held.endpoints
            if endpoint.pod
            for address in map(str, map(ip_address, endpoint.addresses))
            if (id(service), address) in ready
        }

    def expected(self, question: dns.message.Message) -> dns.message.Message | None:
        """The whole answer; None where the cluster owns no such name."""
        asked = question.question[0]
        suffix, apex = self.owner_of(asked.name)
        if not suffix:
            return None
        answer = dns.message.make_response(question, recursion_available=True)
        answer.flags |= dns.flags.AA
        name, qtype = asked.name, dns.rdatatype.to_text(asked.rdtype)
        while True:
            records = self.node(name, suffix)
            links = records.get("CNAME")
            if not links or qtype in ("CNAME", "ANY"):
                break
            self.put(answer.answer, name, self.cluster.ttl, "CNAME", links)
            if len(answer.answer) > MAX_CHAIN:
                failed = dns.message.make_response(question, recursion_available=True)
                failed.set_rcode(dns.rcode.SERVFAIL)
                return failed
            (target,) = links
            name = dns.name.from_text(target)
            if not name.is_subdomain(dns.name.from_text(suffix)):
                return answer
        rtype, data = qtype, records.get(qtype)
        if qtype == "ANY" and records:
            rtype, data = ("CNAME", links) if links else ("HINFO", {'"RFC8482" ""': None})
        if data:
            self.put(answer.answer, name, self.cluster.ttl, rtype, data)
            if rtype in ("SRV", "NS"):
                for target in dict.fromkeys(one.split()[-1] for one in data):
                    held = self.zones[suffix].get(dns.name.from_text(target), {})
                    for family in ("A", "AAAA"):
                        self.put(
                            answer.additional, dns.name.from_text(target), self.cluster.ttl, family, held.get(family)
                        )
            return answer
        if not (records or name in self.existing):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        start = {self.authority(suffix)["SOA"]: None}
        self.put(answer.authority, apex, self.cluster.negative_ttl, "SOA", start)
        return answer

    def owner_of(self, name: dns.name.Name) -> tuple[str, dns.name.Name]:
        """The suffix of names in the answer, and the apex of the zone; an empty suffix for nobody."""
        for suffix in sorted(self.suffixes, key=len, reverse=True):
            if name.is_subdomain(dns.name.from_text(suffix)):
                return suffix, dns.name.from_text(suffix)
        for apex in sorted(self.apexes, key=len):
            if name.is_subdomain(apex):
                return self.zone, apex
        return "", name

    def node(self, name: dns.name.Name, suffix: str) -> TypedData:
        """All records of a name."""
        if name.is_subdomain(ARPA):
            start = {rtype: {data: None} for rtype, data in self.authority(suffix).items()}
            return {**(start if name in self.apexes else {}), **self.pointers.get(name, {})}
        labels = name.relativize(dns.name.from_text(suffix)).to_text().lower().split(".")
        if self.cluster.pods != "disabled" and len(labels) == 3 and labels[2] == "pod":
            address = undashed(labels[0])
            known = labels[1] in self.namespaces
            if self.cluster.pods == "verified":
                known = (labels[1], address) in self.pod_addresses
            if address and known:
                return {kind_of(address): {address: None}}
        return self.zones[suffix].get(name, {})

    @staticmethod
    def put(
        section: list[dns.rrset.RRset], name: dns.name.Name, ttl: int, rtype: str, data: Iterable[str] | None
    ) -> None:
        """Add a record set to a section."""
        if data:
            section.append(dns.rrset.from_text(name, ttl, "IN", rtype, *data))


def collapsed(networks: list[Network]) -> Iterator[Network]:
    """The fewest networks with the same addresses, all of one family."""
    yield from collapse_addresses([each for each in networks if isinstance(each, IPv4Network)])
    yield from collapse_addresses([each for each in networks if isinstance(each, IPv6Network)])


def zones_of(network: Network) -> Iterator[str]:
    """The reverse zones of a network: one, or as many as it has prefixes that end at a label."""
    step = 8 if network.version == 4 else 4
    length = network.prefixlen + -network.prefixlen % step
    for part in network.subnets(new_prefix=length):
        labels = part.network_address.reverse_pointer.split(".")
        yield ".".join(labels[(part.max_prefixlen - length) // step :]) + "."
