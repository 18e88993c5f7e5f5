"""The objects that names come from: namespaces, services, EndpointSlices and pods.

Each function takes a raw object and gives the slim one, or Unused. A part that is wrong becomes a flaw and is left out;
what identifies the object, or is its only content, raises UnfitError (see decode).
"""

from collections.abc import Sequence

from dnsbridge.cluster.checks import (
    LABEL,
    SUBDOMAIN,
    check,
    external_name,
    one_of,
    packed_address,
    quoted,
    routable_address,
)
from dnsbridge.cluster.decode_network import Unused
from dnsbridge.cluster.flaws import Flaw, UnfitError, attempt, each, note, require
from dnsbridge.cluster.objects import Endpoint, EndpointSlice, Key, Namespace, Pod, Port, Service
from dnsbridge.cluster.raw import (
    RawEndpoint,
    RawEndpointPort,
    RawEndpointSlice,
    RawIngress,
    RawMetadata,
    RawNamespace,
    RawPod,
    RawPodAddress,
    RawPodStatus,
    RawService,
    RawServicePort,
    RawServiceSpec,
)

DEFAULT_NAMESPACE = "default"
"""Where an object without a namespace goes, as with `kubectl apply`."""

_SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_OCTETS = {"IPv4": 4, "IPv6": 16}
"""By `addressType`."""
_PROTOCOLS = ("TCP", "UDP", "SCTP")


def namespace(raw: RawNamespace) -> Namespace:
    """A namespace."""
    check(LABEL, raw.metadata.name, "metadata.name")
    return Namespace(name=raw.metadata.name, resource_version=raw.metadata.resource_version or "")


def service(raw: RawService, key: Key, flaws: list[Flaw]) -> Service:
    """A service."""
    check(LABEL, raw.metadata.name, "metadata.name")
    _check_namespace(raw.metadata)
    spec = raw.spec
    kind = attempt(flaws, "ClusterIP", one_of, spec.type or "ClusterIP", _SERVICE_TYPES, "spec.type")
    headless = False
    addresses: tuple[bytes, ...] = ()
    name, address = "", b""
    if kind == "ExternalName":
        require((spec.external_name,) if spec.external_name else (), flaws, "spec.externalName")
        name, address = external_name(spec.external_name or "")
    elif not (headless := "None" in (spec.cluster_ips or (spec.cluster_ip,))):
        addresses, headless = _cluster_ips(spec, flaws)
    status = raw.status.load_balancer if raw.status else None
    return Service(
        namespace=key.namespace,
        name=raw.metadata.name,
        resource_version=raw.metadata.resource_version or "",
        type=kind,
        cluster_ips=addresses,
        headless=headless,
        external_name=name,
        external_address=address,
        ports=each(flaws, "spec.ports", spec.ports, _port),
        publish_not_ready=bool(spec.publish_not_ready_addresses),
        external_ips=each(flaws, "spec.externalIPs", spec.external_ips, routable_address),
        load_balancer_ips=each(
            flaws, "status.loadBalancer.ingress", status.ingress if status else None, _load_balancer_ip
        ),
    )


def _cluster_ips(spec: RawServiceSpec, flaws: list[Flaw]) -> tuple[tuple[bytes, ...], bool]:
    """The ClusterIPs that are right, and whether the service turns out to be headless after all."""
    addresses = each(flaws, "spec.clusterIPs", spec.cluster_ips, lambda text: packed_address(text) if text else None)
    if not addresses and spec.cluster_ip == "None":
        return (), True
    if not addresses and spec.cluster_ip:
        address = attempt(flaws, b"", packed_address, spec.cluster_ip, "spec.clusterIP")
        addresses = (address,) if address else ()
    require(addresses, flaws, "spec.clusterIP")
    require(addresses, flaws, "spec.type")
    if not addresses:
        problem = "expected the service's address, as `kubectl get service -o yaml` prints it"
        raise UnfitError("spec.clusterIP", problem)
    return addresses, False


def _load_balancer_ip(raw: RawIngress) -> bytes | None:
    """The address at which a load balancer leads to a service's nodes; that of a proxy is not the cluster's."""
    return packed_address(raw.ip, "ip") if raw.ip and raw.ip_mode != "Proxy" else None


def endpoint_slice(raw: RawEndpointSlice, key: Key, flaws: list[Flaw]) -> EndpointSlice | Unused:
    """Endpoints of a service."""
    label = raw.metadata.labels.service_name if raw.metadata.labels else None
    if not label or raw.address_type == "FQDN":
        return Unused(key)
    check(SUBDOMAIN, raw.metadata.name, "metadata.name")
    _check_namespace(raw.metadata)
    check(LABEL, label, "metadata.labels[kubernetes.io/service-name]")
    octets = _OCTETS.get(raw.address_type or "", 0)
    if not octets:
        got = "but missing" if raw.address_type is None else f"got {quoted(raw.address_type)}"
        note(flaws, "addressType", f"expected one of IPv4, IPv6, {got}")
    endpoints = []
    listed: Sequence[RawEndpoint | None] = raw.endpoints or ()
    for index, one in enumerate(listed):
        endpoint = _endpoint(one, octets, index, flaws) if one is not None else None
        if endpoint is not None:
            endpoints.append(endpoint)
    require(endpoints, flaws, "endpoints")
    return EndpointSlice(
        namespace=key.namespace,
        name=raw.metadata.name,
        resource_version=raw.metadata.resource_version or "",
        service=label,
        endpoints=tuple(endpoints),
        ports=each(flaws, "ports", raw.ports, _endpoint_port),
    )


def _endpoint(raw: RawEndpoint, octets: int, index: int, flaws: list[Flaw]) -> Endpoint | None:
    """One endpoint, whose addresses have so many octets (0: any); None where it has no address."""
    listed: Sequence[str | None] = raw.addresses
    try:
        addresses = tuple([routable_address(text, octets) for text in listed if text is not None])
    except UnfitError:
        path = f"endpoints[{index}].addresses"
        addresses = each(flaws, path, listed, lambda text: routable_address(text, octets))
    if not addresses:
        if not listed:
            flaws.append(Flaw(f"endpoints[{index}].addresses", "expected at least one address"))
        return None
    hostname = raw.hostname or ""
    pod = ""
    try:
        if hostname:
            check(LABEL, hostname, "hostname")
    except UnfitError as error:
        flaws.append(error.below(f"endpoints[{index}]"))
        hostname = ""  # the endpoint goes by its address
    try:
        if raw.target_ref and raw.target_ref.kind == "Pod" and raw.target_ref.name:
            pod = check(SUBDOMAIN, raw.target_ref.name, "targetRef.name")
    except UnfitError as error:
        flaws.append(error.below(f"endpoints[{index}]"))
    ready = raw.conditions is None or raw.conditions.ready is not False
    return Endpoint(addresses, hostname, ready, pod)


def _endpoint_port(raw: RawEndpointPort) -> Port | None:
    return _port(raw) if raw.port is not None else None


def _port(raw: RawServicePort | RawEndpointPort) -> Port:
    if raw.name:
        check(LABEL, raw.name, "name")
    number = raw.port or 0
    if not 1 <= number <= 65535:
        raise UnfitError("port", f"expected a number from 1 to 65535, got {number if abs(number) < 10**9 else 'more'}")
    return Port(raw.name or "", one_of(raw.protocol or "TCP", _PROTOCOLS, "protocol"), number)


def pod(raw: RawPod, key: Key, flaws: list[Flaw]) -> Pod | Unused:
    """A pod that has not ended."""
    status = raw.status or RawPodStatus()
    if status.phase in ("Succeeded", "Failed"):
        return Unused(key)
    check(SUBDOMAIN, raw.metadata.name, "metadata.name")
    _check_namespace(raw.metadata)
    addresses = each(flaws, "status.podIPs", status.pod_ips, _pod_ip)
    if not addresses and status.pod_ip:
        address = attempt(flaws, b"", packed_address, status.pod_ip, "status.podIP")
        addresses = (address,) if address else ()
    require(addresses, flaws, "status")
    return Pod(
        namespace=key.namespace,
        name=raw.metadata.name,
        resource_version=raw.metadata.resource_version or "",
        addresses=addresses,
    )


def _pod_ip(raw: RawPodAddress) -> bytes | None:
    return packed_address(raw.ip, "ip") if raw.ip else None


def _check_namespace(metadata: RawMetadata) -> None:
    check(LABEL, metadata.namespace or DEFAULT_NAMESPACE, "metadata.namespace")
