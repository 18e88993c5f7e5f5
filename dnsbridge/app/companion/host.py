"""This host, which routes are worked out for, with the addresses that it must go on reaching as it does now.

the API servers of its clusters      by the name or address of the kubeconfig
its DNS upstreams                    except a cluster's own DNS servers, which the routes must lead to
its BGP peers                        routes.bgp.peers
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from dnsbridge.app.answering.service_upstreams import ServiceUpstreams
from dnsbridge.app.answering.upstream_servers import resolv_confs, servers_of
from dnsbridge.app.feeds import Feed
from dnsbridge.config import Settings
from dnsbridge.netlink.this_host import this_host
from dnsbridge.routes.host import Host, Protected
from dnsbridge.watch.api.source import ApiSource

LOOKUP = 2.0
"""Seconds to look up an API server's name; the lookup may need the very network that the routes repair."""


async def host_here(settings: Settings, feeds: Sequence[Feed]) -> Host:
    """This host. Raises NoHost."""
    protected = [each async for each in _api_servers(feeds)]
    return await this_host([*protected, *_upstreams(settings, feeds), *_peers(settings)])


async def _api_servers(feeds: Sequence[Feed]) -> AsyncIterator[Protected]:
    for feed in feeds:
        url = feed.source.connection.server if isinstance(feed.source, ApiSource) else ""
        try:
            host = urlsplit(url).hostname
            if not host:
                continue
            async with asyncio.timeout(LOOKUP):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, ValueError):
            continue  # reading the cluster reports this better
        for address in dict.fromkeys(str(each[4][0]) for each in found):
            yield _protected(address, f"the API server of cluster {feed.name}")


def _upstreams(settings: Settings, feeds: Sequence[Feed]) -> Iterator[Protected]:
    services = ServiceUpstreams(
        settings.forward, [each.name for each in settings.clusters], {each.name: each.index for each in feeds}, ()
    ).by_address
    inside = {host for feed in feeds for host, _ in feed.coredns_servers()}
    inside |= {host for service in services.values() for host, _ in service.servers}
    files = resolv_confs(settings.forward, ())
    for zone in settings.forward:
        for server in servers_of(zone, files, services):
            if server.host not in inside:
                yield _protected(server.host, f"the DNS upstream of forward zone {zone.zone}")


def _peers(settings: Settings) -> Iterator[Protected]:
    for peer in settings.routes.bgp.peers:
        if peer.address is not None:
            yield _protected(str(peer.address), "a BGP peer of routes.bgp.peers")


def _protected(address: str, what: str) -> Protected:
    return Protected(ip_address(address.partition("%")[0]), what)
