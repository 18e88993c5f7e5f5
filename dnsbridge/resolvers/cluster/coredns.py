"""The address of a cluster's CoreDNS: configured, or the ClusterIP of kube-system/kube-dns, which may change."""

import asyncio

from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.zone import Forward
from dnsbridge.zone import coredns
from dnsbridge.zone.index import Index

ATTEMPT_TIMEOUT = 0.5
DEADLINE = 1.5
"""Seconds: the rest of a client's patience must suffice for a stale answer."""


class CoreDns:
    """Gives the resolver for a cluster's current CoreDNS."""

    def __init__(self, index: Index, configured: tuple[str, int] | None) -> None:
        """`configured` is an address and a port; None to look in the cluster."""
        self._index = index
        self.configured = configured
        self._servers: tuple[tuple[str, int], ...] = ()
        self._closing: set[asyncio.Task[None]] = set()
        self.forward: Forward | None = None

    def __call__(self) -> Forward | None:
        """The resolver; None while the cluster has no such service."""
        servers = self.servers()
        if servers != self._servers:
            self._servers = servers
            if self.forward:
                closing = asyncio.get_running_loop().create_task(self.forward.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
            upstreams = [UdpUpstream(host, port) for host, port in servers]
            self.forward = (
                Forward(upstreams, attempt_timeout=ATTEMPT_TIMEOUT, deadline=DEADLINE, patience=DEADLINE, insist=False)
                if upstreams
                else None
            )
        return self.forward

    def servers(self) -> tuple[tuple[str, int], ...]:
        """Addresses and ports of CoreDNS; empty while they are not known."""
        if self.configured:
            return (self.configured,)
        return coredns.servers(self._index)

    async def close(self) -> None:
        """Close the sockets."""
        if self.forward:
            await self.forward.close()
