"""What the server itself does with an object on its way in: metadata, defaults, ClusterIPs, and what it refuses.

Only what clients of these resources can see; everything else of an object is stored as it came.
"""

import random
import re
import time
import uuid
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from tests.apiserver.resources import ENDPOINTSLICES, NAMESPACES, SERVICES, Object, Resource
from tests.apiserver.status import Failure, bad_request, conflict, invalid, not_found
from tests.apiserver.store import Entry, Store

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class ClusterIPs:
    """Hands out addresses of the service ranges, the first family's first."""

    def __init__(self, *cidrs: str) -> None:
        self.networks: list[IPv4Network | IPv6Network] = [ip_network(cidr) for cidr in cidrs]
        self._next = [int(network.network_address) + 256 for network in self.networks]
        self.taken: set[str] = set()

    def families(self) -> list[str]:
        """`IPv4`, `IPv6`, in the order of the ranges."""
        return [f"IPv{network.version}" for network in self.networks]

    def allocate(self, family: str) -> str:
        """A free address of a family."""
        index = self.families().index(family)
        network = self.networks[index]
        while True:
            number = self._next[index]
            self._next[index] += 1
            address = str(type(network.network_address)(number))
            if ip_address(address) not in network:
                message = "failed to allocate a serviceIP: range is full"
                raise Failure(500, "InternalError", f"Internal error occurred: {message}")
            if address not in self.taken:
                self.taken.add(address)
                return address

    def release(self, value: Object) -> None:
        """Free the addresses of a service that is gone."""
        self.taken.difference_update(value.get("spec", {}).get("clusterIPs") or ())


class Admission:
    """Prepares objects for the store; `random` makes uids and generated names."""

    def __init__(self, store: Store, cluster_ips: ClusterIPs, rng: random.Random) -> None:
        self._store = store
        self.cluster_ips = cluster_ips
        self._rng = rng

    def uid(self) -> str:
        """A new uid."""
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def create(self, resource: Resource, namespace: str, value: Object) -> Object:
        """An object that is new, ready to be stored; raises Failure."""
        metadata = self._metadata(resource, namespace, value)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(self._rng.choices(_SUFFIX_LETTERS, k=5))
        self._check_name(resource, metadata.get("name", ""))
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        if resource.namespaced and self._store.get(NAMESPACES, "", metadata["namespace"]) is None:
            raise not_found(NAMESPACES, metadata["namespace"])
        metadata["uid"] = self.uid()
        metadata["creationTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        metadata.pop("managedFields", None)
        if resource.generation:
            metadata["generation"] = 1
        self._defaults(resource, value, None)
        return value

    def update(self, resource: Resource, entry: Entry, value: Object) -> Object | None:
        """The next state of an object, or None when nothing changes; raises Failure."""
        metadata = self._metadata(resource, entry.namespace, value)
        current = entry.object()
        if metadata.get("name") != entry.name:
            message = "the name of the object does not match the name on the URL"
            raise bad_request(f"{message} ({metadata.get('name')}, {entry.name})")
        if metadata.get("resourceVersion") not in (None, "", str(entry.resource_version)):
            raise conflict(resource, entry.name)
        if metadata.get("uid", current["metadata"].get("uid")) != current["metadata"].get("uid"):
            raise conflict(resource, entry.name)
        for kept in ("uid", "creationTimestamp", "generation", "resourceVersion"):
            if kept in current["metadata"]:
                metadata[kept] = current["metadata"][kept]
            else:
                metadata.pop(kept, None)
        self._defaults(resource, value, current)
        value = {key: field for key, field in value.items() if key not in ("kind", "apiVersion")}
        if value == current:
            return None
        unversioned = ("metadata", "status")
        if resource.generation and [value.get(key) for key in {*value, *current}.difference(unversioned)] != [
            current.get(key) for key in {*value, *current}.difference(unversioned)
        ]:
            metadata["generation"] = current["metadata"].get("generation", 1) + 1
        return value

    def deleted(self, resource: Resource, entry: Entry) -> None:
        """An object is gone."""
        if resource is SERVICES:
            self.cluster_ips.release(entry.object())

    def _metadata(self, resource: Resource, namespace: str, value: Object) -> Object:
        metadata = value.setdefault("metadata", {})
        if not isinstance(metadata, dict):
            raise bad_request("metadata is not an object")
        expected = {"kind": resource.kind, "apiVersion": resource.api_version}
        for key, wanted in expected.items():
            if value.setdefault(key, wanted) != wanted:
                message = f"{value[key]} in the body does not match {wanted} of the URL"
                raise bad_request(f"the API version and kind in the data do not match the expected ones: {message}")
        if resource.namespaced and metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        return metadata

    def _check_name(self, resource: Resource, name: str) -> None:
        if not name:
            text = "Required value: name or generateName is required"
            raise invalid(resource.group, resource.kind, name, ("metadata.name", "FieldValueRequired", text))
        rule, largest, called = _SUBDOMAIN, 253, "a lowercase RFC 1123 subdomain"
        if resource is SERVICES:
            rule, largest, called = _LABEL_1035, 63, "a DNS-1035 label"
        elif resource is NAMESPACES:
            rule, largest, called = _LABEL_1123, 63, "a lowercase RFC 1123 label"
        if len(name) > largest or not rule.fullmatch(name):
            text = f"Invalid value: \"{name}\": {called} must consist of lower case alphanumeric characters or '-'"
            raise invalid(resource.group, resource.kind, name, ("metadata.name", "FieldValueInvalid", text))

    def _defaults(self, resource: Resource, value: Object, current: Object | None) -> None:
        if resource is NAMESPACES:
            value["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = value["metadata"]["name"]
            value.setdefault("spec", {"finalizers": ["kubernetes"]})
            value.setdefault("status", {"phase": "Active"})
        elif resource is ENDPOINTSLICES:
            if value.get("addressType") not in ("IPv4", "IPv6", "FQDN"):
                text = 'Unsupported value: supported values: "FQDN", "IPv4", "IPv6"'
                name = value["metadata"]["name"]
                cause = ("addressType", "FieldValueNotSupported", text)
                raise invalid(resource.group, resource.kind, name, cause)
            if not isinstance(value.setdefault("endpoints", None) or [], list):
                raise bad_request("endpoints is not a list")
            value.setdefault("ports", None)
        elif resource is SERVICES:
            self._service(value, current)

    def _service(self, value: Object, current: Object | None) -> None:
        name = value["metadata"]["name"]
        spec = value.setdefault("spec", {})
        if not isinstance(spec, dict) or not isinstance(spec.get("ports") or [], list):
            raise bad_request("spec is not a service's")
        value.setdefault("status", {"loadBalancer": {}})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        for port in spec.get("ports") or ():
            if not isinstance(port, dict) or not isinstance(port.get("port"), int) or not 0 < port["port"] < 65536:
                text = "Invalid value: must be between 1 and 65535, inclusive"
                raise invalid("", "Service", name, ("spec.ports[0].port", "FieldValueInvalid", text))
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])
        if spec["type"] == "ExternalName":
            if not spec.get("externalName"):
                raise invalid("", "Service", name, ("spec.externalName", "FieldValueRequired", "Required value"))
            return
        headless = spec.get("clusterIP") == "None"
        if not headless and not spec.get("ports"):
            raise invalid("", "Service", name, ("spec.ports", "FieldValueRequired", "Required value"))
        spec.setdefault("internalTrafficPolicy", "Cluster")
        before = (current or {}).get("spec", {}).get("clusterIPs") or []
        self._addresses(name, spec, before)

    def _addresses(self, name: str, spec: Object, before: list[str]) -> None:
        """The fields about families and ClusterIPs; `before` are those of the service so far."""
        known = self.cluster_ips.families()
        policy = spec.setdefault("ipFamilyPolicy", "SingleStack")
        given = list(spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else before[:1]))
        headless = given[:1] == ["None"]
        first = known[0] if headless or not given else f"IPv{ip_address(given[0]).version}"
        families = list(spec.get("ipFamilies") or [first])
        if policy != "SingleStack":
            families += [family for family in known if family not in families]
        spec["ipFamilies"] = families
        if headless:
            addresses = ["None"]
        else:
            addresses = given[: len(families)]
            for address in addresses:
                if address in self.cluster_ips.taken and address not in before:
                    text = (
                        f'Invalid value: ["{address}"]: failed to allocate IP {address}: '
                        "provided IP is already allocated"
                    )
                    raise invalid("", "Service", name, ("spec.clusterIPs", "FieldValueInvalid", text))
            self.cluster_ips.taken.difference_update(before)
            self.cluster_ips.taken.update(addresses)
            addresses += [self.cluster_ips.allocate(family) for family in families[len(addresses) :]]
        if before and before[0] != addresses[0]:
            text = f'Invalid value: ["{addresses[0]}"]: may not change once set'
            raise invalid("", "Service", name, ("spec.clusterIPs[0]", "FieldValueInvalid", text))
        spec["clusterIP"], spec["clusterIPs"] = addresses[0], addresses
