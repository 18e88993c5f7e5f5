"""Decoding EndpointSlices and v1 Endpoints to the slim objects of cluster.objects.

    subsets[].addresses             ready
    subsets[].notReadyAddresses     not ready
    subsets[].ports                 ports of all addresses of the subset

A wrong part becomes a flaw and is left out, as in decode_service. Endpoints without an address give nothing: they
belong to a service without pods, or are a lock. Old control planes elect their leaders with such locks and renew them
every two seconds.
"""

from collections.abc import Sequence

from dnsbridge.cluster.checks import LABEL, SUBDOMAIN, check, quoted, routable_address
from dnsbridge.cluster.decode_network import Unused
from dnsbridge.cluster.decode_service import check_namespace, port_of
from dnsbridge.cluster.flaws import Flaw, UnfitError, each, note, require
from dnsbridge.cluster.objects import Endpoint, Endpoints, EndpointSlice, Key, Port, Subset
from dnsbridge.cluster.raw import (
    RawEndpoint,
    RawEndpointAddress,
    RawEndpointPort,
    RawEndpoints,
    RawEndpointSlice,
    RawSubset,
)

_OCTETS = {"IPv4": 4, "IPv6": 16}
"""Octets of an address, by `addressType`."""
_NO_SERVICE = "metadata.labels: kubernetes.io/service-name is missing, so nobody knows whose endpoints these are"
_FQDN = "addressType: FQDN has no addresses, so there is nothing to answer"


def endpoint_slice(raw: RawEndpointSlice, key: Key, flaws: list[Flaw]) -> EndpointSlice | Unused:
    """Endpoints of a service."""
    label = raw.metadata.labels.service_name if raw.metadata.labels else None
    if not label:
        return Unused(key, _NO_SERVICE)
    if raw.address_type == "FQDN":
        return Unused(key, _FQDN)
    check(SUBDOMAIN, raw.metadata.name, "metadata.name")
    check_namespace(raw.metadata)
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
    """One endpoint, whose addresses have `octets` octets (0: any); None if it has no valid address."""
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
    hostname, pod = _names(raw, f"endpoints[{index}]", flaws)
    ready = raw.conditions is None or raw.conditions.ready is not False
    return Endpoint(addresses, hostname, ready, pod)


def _endpoint_port(raw: RawEndpointPort) -> Port | None:
    return port_of(raw) if raw.port is not None else None


def _names(raw: RawEndpoint | RawEndpointAddress, path: str, flaws: list[Flaw]) -> tuple[str, str]:
    """The hostname of an endpoint, and the name of its pod; each is empty if absent or invalid."""
    hostname, pod = raw.hostname or "", ""
    try:
        if hostname:
            check(LABEL, hostname, "hostname")
    except UnfitError as error:
        flaws.append(error.below(path))
        hostname = ""  # the endpoint is named by its address
    try:
        if raw.target_ref and raw.target_ref.kind == "Pod" and raw.target_ref.name:
            pod = check(SUBDOMAIN, raw.target_ref.name, "targetRef.name")
    except UnfitError as error:
        flaws.append(error.below(path))
    return hostname, pod


def endpoints(raw: RawEndpoints, key: Key, flaws: list[Flaw]) -> Endpoints | Unused:
    """Endpoints of the service of the same name."""
    listed: Sequence[RawSubset | None] = raw.subsets or ()
    subsets = [_subset(one, f"subsets[{at}]", flaws) for at, one in enumerate(listed) if one is not None]
    used = tuple([subset for subset in subsets if subset.endpoints])
    if not used:
        require(used, flaws, "subsets")
        return Unused(key, counted=False)
    # The service has the same name.
    check(LABEL, raw.metadata.name, "metadata.name")
    check(LABEL, key.namespace, "metadata.namespace")
    return Endpoints(
        namespace=key.namespace,
        name=raw.metadata.name,
        resource_version=raw.metadata.resource_version or "",
        subsets=used,
    )


def _subset(raw: RawSubset, path: str, flaws: list[Flaw]) -> Subset:
    found: list[Endpoint] = []
    for field, ready, listed in (
        ("addresses", True, raw.addresses),
        ("notReadyAddresses", False, raw.not_ready_addresses),
    ):
        some: Sequence[RawEndpointAddress | None] = listed or ()
        for at, one in enumerate(some):
            if one is None:
                continue
            below = f"{path}.{field}[{at}]"
            try:
                address = routable_address(one.ip)
            except UnfitError as error:
                flaws.append(error.below(f"{below}.ip"))
                continue
            hostname, pod = _names(one, below, flaws)
            found.append(Endpoint((address,), hostname, ready, pod))
    return Subset(tuple(found), each(flaws, f"{path}.ports", raw.ports, _endpoint_port))
