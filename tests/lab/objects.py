"""Objects of Kubernetes for labs, as the items of a YAML list."""

from collections.abc import Mapping


def headless(service: str, namespace: str, port: int, pods: Mapping[str, str]) -> str:
    """A headless service without its namespace: the address of each pod by host name."""
    return f"""
- apiVersion: v1
  kind: Service
  metadata: {{name: {service}, namespace: {namespace}}}
  spec: {{clusterIP: None, ports: [{{port: {port}}}]}}
{endpoints(service, namespace, port, pods)}"""


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
