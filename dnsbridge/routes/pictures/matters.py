"""Which changes of a cluster's objects may change its picture: endpoints come and go all the time, but routes stay."""

from msgspec import structs

from dnsbridge.cluster.changes import Change, Gone
from dnsbridge.cluster.objects import Endpoints, EndpointSlice, Namespace, Object, Pod, Service

_OF_NAMES = (Endpoints, EndpointSlice, Namespace, Pod)
"""Objects that say nothing about prefixes."""
_OF_NAMES_KINDS = frozenset(kind.kind for kind in _OF_NAMES)


def matters(change: Change, held: Object | None, *, all_services: bool) -> bool:
    """Whether a change may change the picture; `held` is the object as it was.

    With `all_services` every service counts. Otherwise only the cluster's DNS service counts: the ClusterIPs of the
    others lie in a known prefix.
    """
    if isinstance(change, Gone):
        return change.key.kind not in _OF_NAMES_KINDS and (held is None or _of_routes(held, all_services))
    new = change.object
    if isinstance(new, _OF_NAMES):
        return False
    if not (_of_routes(new, all_services) or (held and _of_routes(held, all_services))):
        return False
    # A kubelet writes its node's status every few minutes, and the fields that are kept stay equal.
    return held is None or structs.replace(held, resource_version=new.resource_version) != new


def _of_routes(obj: Object, all_services: bool) -> bool:
    return all_services or not isinstance(obj, Service) or (obj.namespace, obj.name) == ("kube-system", "kube-dns")
