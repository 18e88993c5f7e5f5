"""Decoding v1 Namespace, Service and Pod to the slim objects of cluster.objects.

Each function takes a raw object and gives the slim one, or Unused. A wrong part becomes a flaw and is left out; if it
identifies the object, or is the only content, the function raises UnfitError (see decode).
"""

from dnsbridge.cluster.checks import LABEL, SUBDOMAIN, check, external_name, one_of, packed_address, routable_address
from dnsbridge.cluster.decode_network import Unused
from dnsbridge.cluster.flaws import Flaw, UnfitError, attempt, each, require
from dnsbridge.cluster.objects import Key, Namespace, Pod, Port, Service
from dnsbridge.cluster.raw import (
    RawEndpointPort,
    RawIngress,
    RawMetadata,
    RawNamespace,
    RawPod,
    RawPodAddress,
    RawPodStatus,
    RawService,
    RawServiceMetadata,
    RawServicePort,
    RawServiceSpec,
)

DEFAULT_NAMESPACE = "default"
"""The namespace of an object that names none, as with `kubectl apply`."""

_SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TRUE = (True, "1", "t", "T", "true", "True", "TRUE")
"""Values that are true in an annotation (Go's strconv.ParseBool)."""


def namespace(raw: RawNamespace) -> Namespace:
    """A namespace."""
    check(LABEL, raw.metadata.name, "metadata.name")
    return Namespace(name=raw.metadata.name, resource_version=raw.metadata.resource_version or "")


def service(raw: RawService, key: Key, flaws: list[Flaw]) -> Service:
    """A service."""
    check(LABEL, raw.metadata.name, "metadata.name")
    check_namespace(raw.metadata)
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
        ports=each(flaws, "spec.ports", spec.ports, port_of),
        publish_not_ready=bool(spec.publish_not_ready_addresses) or _tolerates_unready(raw.metadata),
        external_ips=each(flaws, "spec.externalIPs", spec.external_ips, routable_address),
        load_balancer_ips=each(
            flaws, "status.loadBalancer.ingress", status.ingress if status else None, _load_balancer_ip
        ),
    )


def _tolerates_unready(metadata: RawServiceMetadata) -> bool:
    return metadata.annotations is not None and metadata.annotations.tolerate_unready in _TRUE


def _cluster_ips(spec: RawServiceSpec, flaws: list[Flaw]) -> tuple[tuple[bytes, ...], bool]:
    """The valid ClusterIPs, and whether the service turns out to be headless after all."""
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
    """A load balancer's address that the nodes serve; None for a proxy's address, which is not the cluster's."""
    return packed_address(raw.ip, "ip") if raw.ip and raw.ip_mode != "Proxy" else None


def port_of(raw: RawServicePort | RawEndpointPort) -> Port:
    """A port of a service, or of endpoints. Raises UnfitError."""
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
    check_namespace(raw.metadata)
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


def check_namespace(metadata: RawMetadata | RawServiceMetadata) -> None:
    """Check the name of an object's namespace. Raises UnfitError."""
    check(LABEL, metadata.namespace or DEFAULT_NAMESPACE, "metadata.namespace")
