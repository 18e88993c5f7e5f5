"""The next hops that the plan has for addresses, however it leads there: through nodes, or through gateways."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

from msgspec import structs

from dnsbridge.app.companion.host import host_here
from dnsbridge.app.companion.tables import read_tables
from dnsbridge.app.companion.wanted import choice_of, pictures_now
from dnsbridge.app.feeds import Feed
from dnsbridge.config import Loaded
from dnsbridge.doctor.facts import Planned
from dnsbridge.errors import CannotStart
from dnsbridge.netlink.this_host import NoHost
from dnsbridge.routes.model import Route
from dnsbridge.routes.wanted import wanted


async def planned(loaded: Loaded, feeds: Sequence[Feed], addresses: Sequence[str]) -> Planned:
    """The next hops to each address; nothing where no plan can be made."""
    settings = loaded.settings
    try:
        host = await host_here(settings, feeds)
        saved = await asyncio.to_thread(read_tables, settings.routes.tables)
        pictures, choice = pictures_now(settings, feeds, saved), choice_of(settings)
    except (CannotStart, NoHost):
        return Planned()
    ways = dict.fromkeys((choice.via, "nodes", "gateways"))
    routes = [route for via in ways for route in wanted(pictures, structs.replace(choice, via=via), host).routes]
    to = {address: _hops([each for each in routes if ip_address(address) in each.prefix]) for address in addresses}
    return Planned({address: hops for address, hops in to.items() if hops}, frozenset(_hops(routes)))


def _hops(routes: Sequence[Route]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([str(hop.address) for route in routes for hop in route.next_hops if hop.address]))
