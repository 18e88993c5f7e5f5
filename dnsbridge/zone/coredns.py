"""Where a cluster says that its CoreDNS is: the ClusterIPs of the Service kube-system/kube-dns."""

from dnsbridge.wire import addresses
from dnsbridge.wire.name import from_labels
from dnsbridge.zone.index import Index

NAMESPACE, SERVICE = b"kube-system", b"kube-dns"
KEY = from_labels(SERVICE, NAMESPACE, b"svc")
"""The zone's key of that Service: what CoreDNS might know hangs on it."""
PORT = 53


def servers(index: Index) -> tuple[tuple[str, int], ...]:
    """Addresses and ports; empty while they are not known."""
    namespace = index.namespaces.get(NAMESPACE)
    service = namespace.services.get(SERVICE) if namespace else None
    if service is None or service.service.headless:
        return ()
    return tuple([(addresses.text(address), PORT) for address in service.ipv4 + service.ipv6])
