"""An index of the cluster's objects by the names that they define, updated by one change at a time or by many.

    namespaces[NS].services[SVC]    ServiceNames (see service); Endpoints count if the service has no EndpointSlice
    namespaces[NS].pods[address]    the Pods with this address, for `pods: verified`
    pointers[address]               relative names: the targets of the address's PTR records

`apply` returns the keys of what changed, so that exactly the prepared answers that depend on them are dropped:

    relative name    `b"\\x03web\\x04shop\\x03svc"`: that name, under every suffix (see `lookup`)
    reverse name     absolute, folded
    REVERSE_TREE     the set of part-way reverse names that exist
    EVERYTHING       the cluster's prefixes, and with them the reverse names that it owns
"""

from bisect import bisect_left, insort
from collections.abc import Iterable

import msgspec

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.objects import (
    ClusterConfiguration,
    Endpoints,
    EndpointSlice,
    IPPool,
    Key,
    Namespace,
    Node,
    Object,
    Pod,
    Service,
    ServiceCIDR,
)
from dnsbridge.wire import addresses
from dnsbridge.wire import name as names
from dnsbridge.wire.compose import Serial
from dnsbridge.zone.service import ServiceNames, Sources, touched, unmoved, work_out

REVERSE_TREE = b"\x04arpa"
EVERYTHING = b"\x00"


class NamespaceNames(msgspec.Struct):
    """What exists in one namespace."""

    object: Namespace | None = None
    services: dict[bytes, ServiceNames] = {}
    pods: dict[bytes, tuple[Pod, ...]] = {}
    """Pods that use their node's address share it (`hostNetwork`)."""

    @property
    def exists(self) -> bool:
        """Whether there is such a namespace: the namespace itself was seen, or something in it."""
        return bool(self.object or self.services or self.pods)


class Index:
    """All names of one cluster, without any suffix."""

    def __init__(self, pod_names: bool = False) -> None:
        self.serial = Serial()
        self.objects: dict[Key, Object] = {}
        self.namespaces: dict[bytes, NamespaceNames] = {}
        self.pointers: dict[bytes, tuple[bytes, ...]] = {}
        self.service_networks: tuple[addresses.Network, ...] = ()
        self.pod_networks: tuple[addresses.Network, ...] = ()
        """Prefixes of services and of pods that the cluster's own objects declare."""
        self._pod_names = pod_names
        self._slices: dict[tuple[str, str], dict[str, EndpointSlice]] = {}
        self._former: list[dict[bytes, ServiceNames]] = []
        self._ordered: dict[int, list[bytes]] | None = None
        """Addresses of `pointers` by length, sorted; built when a part-way reverse name is first asked for."""

    def apply(self, changes: Iterable[Change], now: int) -> set[bytes]:
        """Apply changes; `now`, in Unix seconds, becomes the serial. Returns the keys of what changed."""
        found: set[bytes] = set()
        services: dict[tuple[str, str], None] = {}
        prefixes = False
        for change in changes:
            key = change.object.key if isinstance(change, Put) else change.key
            old = self.objects.get(key)
            new = change.object if isinstance(change, Put) else None
            if old == new:
                continue
            if isinstance(change, Gone):
                del self.objects[key]
            else:
                self.objects[key] = change.object
            if isinstance(old or new, Pod):
                self._replace_pod(key, old, new, found)
                continue
            if isinstance(old or new, Namespace):
                self._replace_namespace(key, new, found)
                continue
            if _declared(old) != _declared(new):
                # Nodes change often, but their prefixes hardly ever do.
                prefixes = True
                continue
            for obj, present in ((old, False), (new, True)):
                if isinstance(obj, Service):
                    services[obj.namespace, obj.name] = None
                elif isinstance(obj, EndpointSlice):
                    services[obj.namespace, obj.service] = None
                    self._place_slice(obj, present)
                elif isinstance(obj, Endpoints):
                    services[obj.namespace, obj.name] = None
        for namespace, service in services:
            self._work_out(namespace, service, found)
        if prefixes and self._gather_networks():
            found.add(EVERYTHING)
        if found or not self.serial.value:
            self.serial.advance(now)
        return found

    def compact(self) -> None:
        """Copy the objects that answer names of services, so that they lie together in memory; no content changes.

        A forked process copies each page on which it uses an object, because every use changes the reference count.
        Objects made while the cluster was read lie scattered among its endpoints, so nearly all pages would be copied.
        """
        # The old objects stay alive in this one process. If they were freed, the new objects, and later those that a
        # forked process makes for itself, would fill the gaps and lie scattered again.
        self._former = [held.services for held in self.namespaces.values()]
        compacted = [
            {_anew(label): _compacted(service) for label, service in held.services.items()}
            for held in self.namespaces.values()
        ]
        for held, services in zip(self.namespaces.values(), compacted, strict=True):
            held.services = services
            for service in services.values():
                self.objects[service.service.key] = service.service
                for each in service.sources:
                    self.objects[each.key] = each
                    if isinstance(each, EndpointSlice):
                        self._slices[each.namespace, each.service][each.name] = each

    def has_below(self, prefix: addresses.ReversePrefix) -> bool:
        """Whether any address with a PTR has this prefix."""
        size = len(prefix.packed)
        if self._ordered is None:
            self._ordered = {4: [], 16: []}
            for address in sorted(self.pointers):
                self._ordered[len(address)].append(address)
        ordered = self._ordered[size]
        at = bisect_left(ordered, prefix.packed)
        shift = size * 8 - prefix.bits
        return at < len(ordered) and (
            int.from_bytes(ordered[at], "big") >> shift == int.from_bytes(prefix.packed, "big") >> shift
        )

    def _namespace(self, name: str) -> NamespaceNames:
        label = name.encode()
        held = self.namespaces.get(label)
        if held is None:
            held = self.namespaces[label] = NamespaceNames()
        return held

    def _settle_namespace(self, name: str, existed: bool, found: set[bytes]) -> None:
        """Note a namespace that came or went, and forget an empty one."""
        label = name.encode()
        exists = self.namespaces[label].exists
        if not exists:
            del self.namespaces[label]
        if exists != existed:
            found.add(names.from_labels(label, b"svc"))
            found.add(names.from_labels(label, b"pod"))

    def _replace_namespace(self, key: Key, new: Object | None, found: set[bytes]) -> None:
        held = self._namespace(key.name)
        existed = held.exists
        held.object = new if isinstance(new, Namespace) else None
        self._settle_namespace(key.name, existed, found)

    def _replace_pod(self, key: Key, old: Object | None, new: Object | None, found: set[bytes]) -> None:
        held = self._namespace(key.namespace)
        existed = held.exists
        before = old.addresses if isinstance(old, Pod) else ()
        after = new.addresses if isinstance(new, Pod) else ()
        for address in {*before, *after}:
            known = held.pods.get(address, ())
            pods = [pod for pod in known if pod.name != key.name]
            if isinstance(new, Pod) and address in after:
                pods.append(new)
            if pods:
                held.pods[address] = tuple(sorted(pods, key=lambda pod: pod.name))
            else:
                del held.pods[address]
            if bool(pods) != bool(known):
                found.add(names.from_labels(addresses.to_label(address), key.namespace.encode(), b"pod"))
        self._settle_namespace(key.namespace, existed, found)

    def _place_slice(self, obj: EndpointSlice, present: bool) -> None:
        held = self._slices.setdefault((obj.namespace, obj.service), {})
        if present:
            held[obj.name] = obj
        else:
            held.pop(obj.name, None)
            if not held:
                del self._slices[obj.namespace, obj.service]

    def _sources(self, namespace: str, service: str) -> Sources:
        """The objects that the endpoints of a service come from."""
        if slices := self._slices.get((namespace, service)):
            return tuple(slices[name] for name in sorted(slices))
        found = self.objects.get(Key("Endpoints", namespace, service))
        return (found,) if isinstance(found, Endpoints) else ()

    def _work_out(self, namespace: str, name: str, found: set[bytes]) -> None:
        held = self._namespace(namespace)
        existed = held.exists
        label = name.encode()
        old = held.services.get(label)
        service = self.objects.get(Key("Service", namespace, name))
        new = None
        if isinstance(service, Service):
            new = work_out(service, self._sources(namespace, name), self._pod_names)
            held.services[label] = new
        elif old:
            del held.services[label]
        same = unmoved(old, new)
        found |= touched(old, new, same)
        before = set(old.pointers(same)) if old else set()
        after = set(new.pointers(same)) if new else set()
        moved: set[bytes] = set()
        for address, owner in before - after:
            self._drop_pointer(address, owner, found)
            moved.add(address)
        for address, owner in after - before:
            self._add_pointer(address, owner, found)
            moved.add(address)
        # The cluster owns an address outside all declared prefixes only if it is a pod's or a service's (see reverse).
        pods = (old.pod_addresses() if old else set()) ^ (new.pod_addresses() if new else set())
        moved |= pods & self.pointers.keys()
        found.update([addresses.reverse_name(address) for address in moved])
        self._settle_namespace(namespace, existed, found)

    def _add_pointer(self, address: bytes, owner: bytes, found: set[bytes]) -> None:
        held = self.pointers.get(address)
        if held is None:
            found.add(REVERSE_TREE)
            if self._ordered is not None:
                insort(self._ordered[len(address)], address)
        self.pointers[address] = tuple(sorted((*held, owner))) if held else (owner,)

    def _drop_pointer(self, address: bytes, owner: bytes, found: set[bytes]) -> None:
        left = tuple(held for held in self.pointers[address] if held != owner)
        if left:
            self.pointers[address] = left
        else:
            del self.pointers[address]
            found.add(REVERSE_TREE)
            if self._ordered is not None:
                ordered = self._ordered[len(address)]
                del ordered[bisect_left(ordered, address)]

    def _gather_networks(self) -> bool:
        """Read the cluster's prefixes from its objects; return whether they changed."""
        service: set[str] = set()
        pod: set[str] = set()
        planned: ClusterConfiguration | None = None
        for obj in self.objects.values():
            if isinstance(obj, ServiceCIDR):
                service.update(obj.cidrs)
            elif isinstance(obj, IPPool):
                pod.update(_declared(obj))
            elif isinstance(obj, Node):
                pod.update(obj.pod_cidrs)
            elif isinstance(obj, ClusterConfiguration):
                planned = obj
        if planned:
            # Prefixes in use take precedence over prefixes that were planned.
            service = service or set(planned.service_cidrs)
            pod = pod or set(planned.pod_cidrs)
        before = self.service_networks, self.pod_networks
        self.service_networks = addresses.networks_of(service)
        self.pod_networks = addresses.networks_of(pod)
        return before != (self.service_networks, self.pod_networks)


def _declared(obj: Object | None) -> tuple[str, ...]:
    """The prefixes that an object declares."""
    if isinstance(obj, Node):
        return obj.pod_cidrs
    if isinstance(obj, ServiceCIDR):
        return obj.cidrs
    if isinstance(obj, IPPool):
        return () if obj.disabled else (obj.cidr,)
    if isinstance(obj, ClusterConfiguration):
        return (*obj.service_cidrs, "pods", *obj.pod_cidrs)
    return ()


def _compacted(held: ServiceNames) -> ServiceNames:
    """The same names, with new copies of the objects that every question for the service uses."""
    return msgspec.structs.replace(
        held,
        service=msgspec.structs.replace(held.service),
        sources=tuple(map(msgspec.structs.replace, held.sources)),
        ipv4=tuple(map(_anew, held.ipv4)),
        ipv6=tuple(map(_anew, held.ipv6)),
    )


def _anew(octets: bytes) -> bytes:
    """The same octets as a new object."""
    return bytes(bytearray(octets))
