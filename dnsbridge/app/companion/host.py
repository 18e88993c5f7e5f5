"""The host that routes are worked out for: this one, with the addresses that it must go on reaching as it does now.

the API servers of its clusters      by the name or address of the kubeconfig
its DNS upstreams                    but for a cluster's own DNS servers, to which the routes are to lead
its BGP peers                        routes.bgp.peers
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from dnsbridge.app.answering.parts import Parts
from dnsbridge.config import Settings
from dnsbridge.netlink.this_host import this_host
from dnsbridge.routes.host import Host, Protected
from dnsbridge.watch.api.source import ApiSource

LOOKUP = 2.0
"""Seconds for an API server's name, which may hang on the very network that is to be repaired."""


async def host_here(settings: Settings, parts: Parts) -> Host:
    """This host. Raises NoHost."""
    protected = [each async for each in _api_servers(parts)]
    return await this_host([*protected, *_upstreams(parts), *_peers(settings)])


async def _api_servers(parts: Parts) -> AsyncIterator[Protected]:
    for bridged in parts.clusters:
        url = bridged.source.connection.server if isinstance(bridged.source, ApiSource) else ""
        try:
            host = urlsplit(url).hostname
            if not host:
                continue
            async with asyncio.timeout(LOOKUP):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, ValueError):
            continue  # reading the cluster says that, and better
        for address in dict.fromkeys(str(each[4][0]) for each in found):
            yield _protected(address, f"the API server of cluster {bridged.cluster.name}")


def _upstreams(parts: Parts) -> Iterator[Protected]:
    inside = {host for bridged in parts.clusters for host, _ in bridged.coredns.servers()}
    inside |= {host for service in parts.zones.services.by_address.values() for host, _ in service.servers}
    for zone, forward in parts.zones.forwards.items():
        for upstream in forward.upstreams:
            if upstream.address not in inside:
                yield _protected(upstream.address, f"the DNS upstream of forward zone {zone}")


def _peers(settings: Settings) -> Iterator[Protected]:
    for peer in settings.routes.bgp.peers:
        if peer.address is not None:
            yield _protected(str(peer.address), "a BGP peer of routes.bgp.peers")


def _protected(address: str, what: str) -> Protected:
    return Protected(ip_address(address.partition("%")[0]), what)
