"""Objects of Kubernetes for labs, as the items of a YAML list."""

from collections.abc import Mapping


def headless(service: str, namespace: str, port: int, pods: Mapping[str, str]) -> str:
    """A headless service without its namespace: the address of each pod by host name."""
    return with_cluster_ip("None", service, namespace, port, pods)


def with_cluster_ip(cluster_ip: str, service: str, namespace: str, port: int, pods: Mapping[str, str]) -> str:
    """The same with a ClusterIP."""
    return f"{alone(cluster_ip, service, namespace, port)}{endpoints(service, namespace, port, pods)}"


def alone(cluster_ip: str, service: str, namespace: str, port: int) -> str:
    """The same of which no endpoints are known."""
    return f"""
- apiVersion: v1
  kind: Service
  metadata: {{name: {service}, namespace: {namespace}}}
  spec: {{clusterIP: {cluster_ip}, ports: [{{port: {port}}}]}}
"""


def endpoints(service: str, namespace: str, port: int, pods: Mapping[str, str]) -> str:
    """The ready pods behind a service."""
    ready = "".join(
        f"  - {{addresses: [{address}], hostname: {name}, conditions: {{ready: true}}}}\n"
        for name, address in pods.items()
    )
    return f"""- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {{name: {service}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {service}}}}}
  addressType: IPv4
  ports: [{{port: {port}, protocol: TCP}}]
  endpoints:
{ready}"""


def namespace(name: str) -> str:
    """A namespace."""
    return f"\n- {{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}\n"
