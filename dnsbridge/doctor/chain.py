"""The chain: all links in order, from the settings to the path MTU."""

from collections.abc import Callable

from dnsbridge.doctor.facts import Facts
from dnsbridge.doctor.link import Link, State
from dnsbridge.doctor.links import (
    answer,
    connection,
    endpoints,
    next_hop,
    path_mtu,
    record,
    resolver,
    route,
    server,
    settings,
    source,
    this_host,
)

LINKS: tuple[Callable[[Facts], Link], ...] = (
    settings.check,
    server.check,
    source.check,
    record.check,
    endpoints.check,
    answer.check,
    resolver.check,
    this_host.check,
    route.check,
    next_hop.check,
    connection.check,
    path_mtu.check,
)


def diagnose(facts: Facts) -> tuple[Link, ...]:
    """Every link, judged by itself: a later one may hold although an earlier one is broken."""
    return tuple([link(facts) for link in LINKS])


def is_broken(links: tuple[Link, ...]) -> bool:
    """Whether a link is broken."""
    return any(link.state is State.FAILED for link in links)
