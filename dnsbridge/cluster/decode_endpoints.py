"""From v1 Endpoints to the slim ones of cluster.objects.

    subsets[].addresses             ready
    subsets[].notReadyAddresses     not ready
    subsets[].ports                 of all addresses of the subset

Endpoints without an address give nothing: they are those of a service without pods, or a lock. Old control planes elect
their leaders with such locks, and renew them every two seconds.
"""

from dnsbridge.cluster.checks import LABEL, SUBDOMAIN, UnfitError, check, one_of, packed_address
from dnsbridge.cluster.decode_network import Unused
from dnsbridge.cluster.objects import Endpoint, Endpoints, Key, Port, Subset
from dnsbridge.cluster.raw import RawEndpointAddress, RawEndpointPort, RawEndpoints, RawSubset

_PROTOCOLS = ("TCP", "UDP", "SCTP")


def endpoints(raw: RawEndpoints, key: Key) -> Endpoints | Unused:
    """Endpoints. Raises UnfitError."""
    used = [(f"subsets[{at}]", each) for at, each in enumerate(raw.subsets or ()) if _addresses(each)]
    if not used:
        return Unused(key, counted=False)
    # The service has this name, too.
    check(LABEL, raw.metadata.name, "metadata.name")
    check(LABEL, key.namespace, "metadata.namespace")
    return Endpoints(
        namespace=key.namespace,
        name=raw.metadata.name,
        resource_version=raw.metadata.resource_version or "",
        subsets=tuple(_subset(each, path) for path, each in used),
    )


def _addresses(raw: RawSubset) -> bool:
    return bool(raw.addresses or raw.not_ready_addresses)


def _subset(raw: RawSubset, path: str) -> Subset:
    return Subset(
        tuple(
            _endpoint(each, ready, f"{path}.{field}[{at}]")
            for field, ready, addresses in (
                ("addresses", True, raw.addresses),
                ("notReadyAddresses", False, raw.not_ready_addresses),
            )
            for at, each in enumerate(addresses or ())
        ),
        tuple(_port(each, each.port, f"{path}.ports[{at}]") for at, each in enumerate(raw.ports or ()) if each.port),
    )


def _endpoint(raw: RawEndpointAddress, ready: bool, path: str) -> Endpoint:
    address = packed_address(raw.ip, f"{path}.ip")
    if raw.hostname:
        check(LABEL, raw.hostname, f"{path}.hostname")
    pod = ""
    if raw.target_ref and raw.target_ref.kind == "Pod" and raw.target_ref.name:
        pod = raw.target_ref.name
        check(SUBDOMAIN, pod, f"{path}.targetRef.name")
    return Endpoint((address,), raw.hostname or "", ready, pod)


def _port(raw: RawEndpointPort, number: int, path: str) -> Port:
    if raw.name:
        check(LABEL, raw.name, f"{path}.name")
    if not 1 <= number <= 65535:
        raise UnfitError(f"{path}.port: expected a number from 1 to 65535")
    return Port(raw.name or "", one_of(raw.protocol or "TCP", _PROTOCOLS, f"{path}.protocol"), number)
