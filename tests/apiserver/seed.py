"""Clusters of any size, as objects to load: the same seed gives the same cluster.

    system()       what every cluster has: kubernetes, kube-dns, the service ranges, kubeadm's ConfigMap
    cluster(Shape) that, and namespaces, services and their slices, nodes, pods

A service has one slice, and a second one of the other family when it is dual-stack; ExternalName services have none.
Objects carry managedFields, as a real server's do: a good part of what a client must skip.
"""

import random
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

from tests.apiserver.resources import Object

CREATED = "2025-03-03T09:12:44Z"
SERVICE_IPV4 = int(IPv4Address("10.96.0.0"))
SERVICE_IPV6 = int(IPv6Address("fd00:10:96::"))
POD_IPV4 = int(IPv4Address("10.128.0.0"))
POD_IPV6 = int(IPv6Address("fd00:10:244::"))
NODE_IPV4 = int(IPv4Address("192.168.48.0"))
KUBE_DNS = "10.96.0.10"


class Shape(Struct, frozen=True):
    """How large a cluster is. `headless`, `external_names` and `dual_stack` are numbers out of `services`."""

    services: int = 100
    headless: int = 10
    external_names: int = 0
    dual_stack: int = 0
    endpoints_per_slice: int = 3
    namespaces: int = 20
    nodes: int = 10
    pods: bool = False
    """A Pod for each endpoint."""
    named_ports: float = 0.9
    """The share of services whose port has a name; all with several ports have."""
    seed: int = 1


class _Maker:
    """What all objects of one cluster share."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def uid(self) -> str:
        text = f"{self.rng.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def make(self, api_version: str, kind: str, namespace: str, name: str, **fields: object) -> Object:
        labels = fields.pop("labels", None)
        more = fields.pop("metadata", {})
        metadata: Object = {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            "uid": self.uid(),
            "creationTimestamp": CREATED,
            **({"labels": labels} if labels else {}),
            **(more if isinstance(more, dict) else {}),
            "managedFields": [
                {
                    "manager": "kube-controller-manager",
                    "operation": "Update",
                    "apiVersion": api_version,
                    "time": CREATED,
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:ports": {}}},
                }
            ],
        }
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}

    def service(
        self, namespace: str, name: str, addresses: list[str], ports: list[Object], dual: bool = False
    ) -> Object:
        families = ["IPv4", "IPv6"] if dual else ["IPv4"]
        spec = {
            "clusterIP": addresses[0],
            "clusterIPs": addresses,
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": families,
            "ipFamilyPolicy": "PreferDualStack" if dual else "SingleStack",
            "ports": [{"protocol": "TCP", "targetPort": port["port"], **port} for port in ports],
            "selector": {"app": name},
            "sessionAffinity": "None",
            "type": "ClusterIP",
        }
        labels = {"app": name}
        return self.make("v1", "Service", namespace, name, labels=labels, spec=spec, status={"loadBalancer": {}})

    def slice(self, service: Object, suffix: str, family: str, endpoints: list[Object], ports: list[Object]) -> Object:
        owner = service["metadata"]
        labels = {
            "app": owner["name"],
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": owner["name"],
        }
        if service["spec"]["clusterIP"] == "None":
            labels["service.kubernetes.io/headless"] = ""
        reference = {
            "apiVersion": "v1",
            "kind": "Service",
            "name": owner["name"],
            "uid": owner["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        more = {"generation": 1, "generateName": f"{owner['name']}-", "ownerReferences": [reference]}
        return self.make(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            owner["namespace"],
            f"{owner['name']}-{suffix}",
            labels=labels,
            metadata=more,
            addressType=family,
            endpoints=endpoints,
            ports=[{"name": "", "protocol": "TCP", **port} for port in ports],
        )


def system(seed: int = 1) -> Iterator[Object]:
    """The objects that every cluster of kubeadm has, as far as clients here look at them."""
    maker = _Maker(seed)
    yield maker.make("networking.k8s.io/v1", "ServiceCIDR", "", "kubernetes", spec={"cidrs": ["10.96.0.0/12"]})
    configuration = (
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking:\n"
        "  dnsDomain: cluster.local\n  podSubnet: 10.128.0.0/9\n  serviceSubnet: 10.96.0.0/12\n"
    )
    yield maker.make("v1", "ConfigMap", "kube-system", "kubeadm-config", data={"ClusterConfiguration": configuration})
    https = [{"name": "https", "port": 443, "targetPort": 6443}]
    kubernetes = maker.service("default", "kubernetes", ["10.96.0.1"], https)
    yield kubernetes
    endpoint = {"addresses": ["192.168.48.1"], "conditions": {"ready": True}}
    yield maker.slice(kubernetes, "ap7xs", "IPv4", [endpoint], [{"name": "https", "port": 6443}])
    ports: list[Object] = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53},
        {"name": "metrics", "port": 9153},
    ]
    kube_dns = maker.service("kube-system", "kube-dns", [KUBE_DNS], ports)
    kube_dns["metadata"]["labels"] = {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}
    yield kube_dns
    pods = [_endpoint(maker, "kube-system", f"coredns-{number}", str(IPv4Address(POD_IPV4 + 2 + number)), "node-0000")
            for number in range(2)]  # fmt: skip
    yield maker.slice(kube_dns, "4qmzt", "IPv4", pods, ports)


def cluster(shape: Shape) -> Iterator[Object]:
    """A whole cluster, system() included, in an order in which it could be created."""
    maker = _Maker(shape.seed)
    for number in range(shape.namespaces):
        name = f"ns-{number:03}"
        labels = {"kubernetes.io/metadata.name": name}
        yield maker.make("v1", "Namespace", "", name, labels=labels, status={"phase": "Active"})
    for number in range(shape.nodes):
        yield _node(maker, number)
    yield from system(shape.seed)
    kinds = (
        ["headless"] * shape.headless
        + ["external"] * shape.external_names
        + ["dual"] * shape.dual_stack
        + ["plain"] * (shape.services - shape.headless - shape.external_names - shape.dual_stack)
    )
    maker.rng.shuffle(kinds)
    pod = 1024
    for number, kind in enumerate(kinds):
        namespace = f"ns-{number % shape.namespaces:03}"
        name = f"svc-{number:05}"
        if kind == "external":
            spec = {"type": "ExternalName", "externalName": f"{name}.example.com", "sessionAffinity": "None"}
            yield maker.make("v1", "Service", namespace, name, spec=spec, status={"loadBalancer": {}})
            continue
        ports: list[Object] = [{"port": 8080}]
        if maker.rng.random() < shape.named_ports:
            ports = [{"name": "http", "port": 8080}, {"name": "metrics", "port": 9090}][: maker.rng.randint(1, 2)]
        addresses = [str(IPv4Address(SERVICE_IPV4 + 1024 + number))]
        if kind == "dual":
            addresses.append(str(IPv6Address(SERVICE_IPV6 + 1024 + number)))
        service = maker.service(namespace, name, ["None"] if kind == "headless" else addresses, ports, kind == "dual")
        yield service
        members = [(f"{name}-{index}", f"node-{(pod + index) % max(1, shape.nodes):04}", pod + index)
                   for index in range(shape.endpoints_per_slice)]  # fmt: skip
        pod += shape.endpoints_per_slice
        hostnames = kind == "headless"
        endpoints = [
            _endpoint(maker, namespace, called, str(IPv4Address(POD_IPV4 + address)), node, hostnames)
            for called, node, address in members
        ]
        yield maker.slice(service, "a2b3c", "IPv4", endpoints, ports)
        if kind == "dual":
            endpoints = [
                _endpoint(maker, namespace, called, str(IPv6Address(POD_IPV6 + address)), node, hostnames)
                for called, node, address in members
            ]
            yield maker.slice(service, "d4e5f", "IPv6", endpoints, ports)
        if shape.pods:
            for called, node, address in members:
                yield _pod(maker, namespace, called, name, node, str(IPv4Address(POD_IPV4 + address)))


def _endpoint(maker: _Maker, namespace: str, pod: str, address: str, node: str, hostname: bool = False) -> Object:
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        **({"hostname": pod} if hostname else {}),
        "nodeName": node,
        "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace, "uid": maker.uid()},
        "zone": "zone-a",
    }


def _node(maker: _Maker, number: int) -> Object:
    cidr = f"{IPv4Address(POD_IPV4 + 256 * number)}/24"
    addresses = [
        {"type": "InternalIP", "address": str(IPv4Address(NODE_IPV4 + 16 + number))},
        {"type": "Hostname", "address": f"node-{number:04}"},
    ]
    status = {"addresses": addresses, "conditions": [{"type": "Ready", "status": "True"}]}
    spec = {"podCIDR": cidr, "podCIDRs": [cidr]}
    return maker.make("v1", "Node", "", f"node-{number:04}", spec=spec, status=status)


def _pod(maker: _Maker, namespace: str, name: str, app: str, node: str, address: str) -> Object:
    spec = {"nodeName": node, "containers": [{"name": "main", "image": "registry.example.com/app:1.0"}]}
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": "192.168.48.16",
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    return maker.make("v1", "Pod", namespace, name, labels={"app": app}, spec=spec, status=status)
