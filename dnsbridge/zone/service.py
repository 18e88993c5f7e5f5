"""The names of one service, derived from its Service object and its EndpointSlices, or else its Endpoints.

Owners are relative to `NS.svc.Z`, as labels:

    SVC                 ipv4, ipv6 (ClusterIPs, the ready endpoints of a headless service, or the address in an
                        `externalName`), targets, or alias
    EP.SVC              hosts[EP]: every endpoint with that label
    _PORT._PROTO.SVC    ports[_PORT, _PROTO]: targets
    _PROTO.SVC          exists while that protocol has a named port

A target is (port number, label): the label of an endpoint, or b"" for the service itself.
"""

from collections.abc import Collection, Iterable, Set

import msgspec

from dnsbridge.cluster.objects import Endpoint, Endpoints, EndpointSlice, Object, Port, Service, Subset
from dnsbridge.wire import addresses
from dnsbridge.wire import name as names
from dnsbridge.wire.constants import MAX_LABEL

Target = tuple[int, bytes]
Sources = tuple[EndpointSlice, ...] | tuple[Endpoints]
"""Where a service's endpoints come from; `()` when it has none."""


class Host(msgspec.Struct, frozen=True, gc=False):
    """The addresses of an endpoint label, by family."""

    ipv4: tuple[bytes, ...] = ()
    ipv6: tuple[bytes, ...] = ()


class ServiceNames(msgspec.Struct, frozen=True, gc=False):
    """All names of one service; see the module for their shapes."""

    service: Service
    sources: Sources
    ipv4: tuple[bytes, ...] = ()
    ipv6: tuple[bytes, ...] = ()
    targets: tuple[Target, ...] = ()
    hosts: dict[bytes, Host] = {}
    ports: dict[tuple[bytes, bytes], tuple[Target, ...]] = {}
    alias: bytes = b""
    """The target of an ExternalName service (wire form); otherwise empty."""

    @property
    def exists(self) -> bool:
        """Whether SVC exists: a headless service without ready endpoints has no names at all."""
        return bool(self.alias or self.ipv4 or self.ipv6)

    @property
    def objects(self) -> tuple[Object, ...]:
        """The objects that these names are derived from."""
        return (self.service, *self.sources)

    @property
    def relative(self) -> bytes:
        """SVC.NS.svc, as the front part of a name."""
        return names.from_labels(self.service.name.encode(), self.service.namespace.encode(), b"svc")

    def protocols(self) -> set[bytes]:
        """The `_PROTO` labels that exist."""
        return {protocol for _, protocol in self.ports}

    def answers(self) -> dict[bytes, tuple[object, ...]]:
        """The content of the answers for each existing relative name, additional records included."""
        relative = self.relative
        own = Host(self.ipv4, self.ipv6)

        def reached(targets: tuple[Target, ...]) -> tuple[object, ...]:
            labels = dict.fromkeys(label for _, label in targets)
            return targets, [self.hosts[label] if label else own for label in labels]

        found: dict[bytes, tuple[object, ...]] = {
            names.from_labels(label) + relative: (host,) for label, host in self.hosts.items()
        }
        for protocol in self.protocols():
            found[names.from_labels(protocol) + relative] = ()
        for labels, targets in self.ports.items():
            found[names.from_labels(*labels) + relative] = reached(targets)
        if self.exists:
            found[relative] = (own, self.alias, reached(self.targets))
        return found

    def pod_addresses(self) -> set[bytes]:
        """Addresses of endpoints that are pods."""
        return {
            address
            for held in subsets_of(self.sources)
            for endpoint in held.endpoints
            if endpoint.pod
            for address in endpoint.addresses
        }

    def pointers(self, without: Collection[bytes] = ()) -> Iterable[tuple[bytes, bytes]]:
        """(address, relative name) of every PTR record, except for the endpoint labels in `without`."""
        relative = self.relative
        for address in self.service.cluster_ips:
            yield address, relative
        for label, host in self.hosts.items():
            if label in without:
                continue
            owner = names.from_labels(label) + relative
            for address in host.ipv4 + host.ipv6:
                yield address, owner


def subsets_of(sources: Sources) -> Iterable[EndpointSlice | Subset]:
    """The sources as sets of endpoints x ports; an EndpointSlice is such a set by itself."""
    for each in sources:
        if isinstance(each, Endpoints):
            yield from each.subsets
        else:
            yield each


def work_out(service: Service, sources: Sources, pod_names: bool) -> ServiceNames:
    """The names of a service; with `pod_names` an endpoint without a hostname is named after its pod."""
    if service.type == "ExternalName":
        if service.external_address:
            own = _host([service.external_address])
            return ServiceNames(service, sources, own.ipv4, own.ipv6)
        return ServiceNames(service, sources, alias=names.from_text(service.external_name))
    hosts: dict[bytes, list[bytes]] = {}
    endpoint_targets: dict[Target, None] = {}
    endpoint_ports: dict[tuple[bytes, bytes], dict[Target, None]] = {}
    for held in subsets_of(sources):
        for endpoint in held.endpoints:
            if not (endpoint.ready or service.publish_not_ready):
                continue
            for address in endpoint.addresses:
                label = _label(endpoint, address, pod_names)
                known = hosts.setdefault(label, [])
                if address not in known:
                    known.append(address)
                if service.headless:
                    for port in held.ports:
                        endpoint_targets[port.number, label] = None
                        if port.name:
                            endpoint_ports.setdefault(_port_labels(port), {})[port.number, label] = None
    by_label = {label: _host(known) for label, known in hosts.items()}
    if service.headless:
        everyone = dict.fromkeys(address for known in hosts.values() for address in known)
        host = _host(list(everyone))
        targets = tuple(endpoint_targets)
        ports = {labels: tuple(found) for labels, found in endpoint_ports.items()}
    else:
        host = _host(list(service.cluster_ips))
        # One number under two protocols is one record (RFC 2181 section 5).
        targets = tuple(dict.fromkeys((port.number, b"") for port in service.ports))
        ports = {_port_labels(port): ((port.number, b""),) for port in service.ports if port.name}
    return ServiceNames(service, sources, host.ipv4, host.ipv6, targets, by_label, ports)


def _host(found: list[bytes]) -> Host:
    ipv4 = tuple([address for address in found if len(address) == 4])
    ipv6 = tuple([address for address in found if len(address) == 16])
    return Host(ipv4, ipv6)


def _label(endpoint: Endpoint, address: bytes, pod_names: bool) -> bytes:
    if endpoint.hostname:
        return endpoint.hostname.encode()
    if pod_names and endpoint.pod and len(endpoint.pod) <= MAX_LABEL and "." not in endpoint.pod:
        return endpoint.pod.encode()
    return addresses.to_label(address)


def _port_labels(port: Port) -> tuple[bytes, bytes]:
    return f"_{port.name}".encode(), f"_{port.protocol.lower()}".encode()


def unmoved(old: ServiceNames | None, new: ServiceNames | None) -> set[bytes]:
    """The endpoint labels with the same addresses in two states of one service; usually most of them."""
    if not old or not new:
        return set()
    return {label for label, host in new.hosts.items() if old.hosts.get(label) == host}


def touched(old: ServiceNames | None, new: ServiceNames | None, unmoved: Set[bytes]) -> set[bytes]:
    """The relative names whose records differ between two states of one service, given its `unmoved` labels."""
    if not old or not new:
        only = old or new
        return set(only.answers()) if only else set()
    moved = (old.hosts.keys() | new.hosts.keys()) - unmoved
    if (old.ipv4, old.ipv6) != (new.ipv4, new.ipv6):
        moved.add(b"")
    relative = new.relative
    # A port's answers depend on its targets and on the addresses of the targets.
    found = {names.from_labels(label) + relative for label in moved if label}
    found |= {names.from_labels(protocol) + relative for protocol in old.protocols() ^ new.protocols()}
    for labels in old.ports.keys() | new.ports.keys():
        before, after = old.ports.get(labels), new.ports.get(labels)
        if before != after or any(label in moved for _, label in after or ()):
            found.add(names.from_labels(*labels) + relative)
    if (
        (old.exists, old.alias, old.targets) != (new.exists, new.alias, new.targets)
        or b"" in moved
        or any(label in moved for _, label in new.targets)
    ):
        found.add(relative)
    return found
