"""Services that are upstreams of forward zones, and the servers that each Service stands for now.

The servers follow the objects of the cluster. A server that is dnsbridge itself is left out, and so is a ClusterIP with
dnsbridge among its endpoints: a question to either would come back.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from dnsbridge import config
from dnsbridge.app.this_machine import is_local
from dnsbridge.config import Address, ServiceAddress, reaches
from dnsbridge.wire.addresses import text
from dnsbridge.wire.name import from_labels
from dnsbridge.zone.index import Index
from dnsbridge.zone.service import subsets_of
from dnsbridge.zone.service_servers import NoServer, servers

MAX_SERVERS = 16
"""The most servers of one Service that are asked; a headless Service may have thousands of endpoints."""
ITSELF = "is dnsbridge itself"


class ServiceUpstream:
    """One Service, and the servers that it stands for now."""

    def __init__(self, index: Index, address: ServiceAddress, listening: Sequence[Address]) -> None:
        """`index` has the objects of the cluster; `listening` are the addresses of dnsbridge itself."""
        self.address = address
        self.servers: tuple[Address, ...] = ()
        self.problem = ""
        """Why the Service stands for no server now; empty while it does."""
        self.left_out = 0
        """How many servers are over MAX_SERVERS."""
        self.owner = from_labels(address.name.encode(), address.namespace.encode(), b"svc")
        """The key of the Service in the cluster's index."""
        self._index = index
        self._listening = listening

    def look(self) -> None:
        """Work out the servers from the current objects."""
        self.servers, self.left_out = (), 0
        named = self.address
        found = servers(self._index, named.namespace, named.name, named.port)
        if isinstance(found, NoServer):
            self.problem = found.problem
            return
        there = [Address(text(address), port) for address, port in found]
        others = [each for each in there if not self._is_self(each)]
        if others and self._has_self_behind():
            others = []
        self.servers = tuple(others[:MAX_SERVERS])
        self.left_out = len(others) - len(self.servers)
        self.problem = "" if others else ITSELF

    def _has_self_behind(self) -> bool:
        """Whether dnsbridge itself is among the endpoints that the Service balances over."""
        found = self._index.namespaces[self.address.namespace.encode()].services[self.address.name.encode()]
        if found.service.headless:
            return False
        ports = {port.number for held in subsets_of(found.sources) for port in held.ports}
        hosts = {text(address) for host in found.hosts.values() for address in host.ipv4 + host.ipv6}
        return any(self._is_self(Address(host, port)) for host in hosts for port in ports)

    def _is_self(self, server: Address) -> bool:
        if all(server.port != listen.port for listen in self._listening):
            return False
        local = {server.host} if is_local(server.host) else ()
        return any(reaches(listen, server, local) for listen in self._listening)


class ServiceUpstreams:
    """All Services among the upstreams of the forward zones."""

    def __init__(
        self,
        said: Iterable[config.Forward] = (),
        clusters: Sequence[str] = (),
        indexes: Mapping[str, Index] | None = None,
        listening: Sequence[Address] = (),
    ) -> None:
        """`clusters` are names in the order of the configuration; `indexes` have the objects of each cluster."""
        self.by_address: dict[ServiceAddress, ServiceUpstream] = {}
        self._by_cluster: dict[str, list[ServiceUpstream]] = {}
        for address in (each for forward in said for each in forward.upstreams):
            if isinstance(address, ServiceAddress) and address not in self.by_address:
                cluster = address.cluster or clusters[0]
                made = self.by_address[address] = ServiceUpstream((indexes or {})[cluster], address, listening)
                made.look()
                self._by_cluster.setdefault(cluster, []).append(made)

    def look(self, cluster: str, keys: Collection[bytes]) -> bool:
        """Update the Services that these changed keys of a cluster's index concern; returns whether there are any."""
        concerned = [
            service for service in self._by_cluster.get(cluster, ()) if any(key.endswith(service.owner) for key in keys)
        ]
        for service in concerned:
            service.look()
        return bool(concerned)
