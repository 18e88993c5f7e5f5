"""The addresses of a cluster's CoreDNS: the ClusterIPs of the Service kube-system/kube-dns."""

from dnsbridge.wire import addresses
from dnsbridge.wire.name import from_labels
from dnsbridge.zone.index import Index

NAMESPACE, SERVICE = b"kube-system", b"kube-dns"
KEY = from_labels(SERVICE, NAMESPACE, b"svc")
"""The index key of that Service; an answer that a CoreDNS could change depends on it."""
PORT = 53


def servers(index: Index) -> tuple[tuple[str, int], ...]:
    """Addresses and ports; empty while they are not known."""
    namespace = index.namespaces.get(NAMESPACE)
    service = namespace.services.get(SERVICE) if namespace else None
    if service is None or service.service.headless:
        return ()
    return tuple([(addresses.text(address), PORT) for address in service.ipv4 + service.ipv6])
