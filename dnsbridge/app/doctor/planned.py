"""The next hops that the plan has for addresses, however it leads there: through nodes, or through gateways."""

from collections.abc import Sequence
from ipaddress import ip_address

from msgspec import structs

from dnsbridge.app.companion.host import host_here
from dnsbridge.app.companion.wanted import wanted_routes
from dnsbridge.app.feeds import Feed
from dnsbridge.config import Loaded
from dnsbridge.doctor.facts import Planned
from dnsbridge.errors import CannotStart
from dnsbridge.netlink.this_host import NoHost
from dnsbridge.routes.model import Route


async def planned(loaded: Loaded, feeds: Sequence[Feed], addresses: Sequence[str]) -> Planned:
    """The next hops to each address; nothing where no plan can be made."""
    settings = loaded.settings
    routes: list[Route] = []
    try:
        host = await host_here(settings, feeds)
        for via in dict.fromkeys((settings.routes.via, "nodes", "gateways")):
            as_if = structs.replace(settings, routes=structs.replace(settings.routes, via=via))
            found = await wanted_routes(structs.replace(loaded, settings=as_if), feeds, host)
            routes += found.routes
    except (CannotStart, NoHost):
        return Planned()
    to = {address: _hops([each for each in routes if ip_address(address) in each.prefix]) for address in addresses}
    return Planned({address: hops for address, hops in to.items() if hops}, frozenset(_hops(routes)))


def _hops(routes: Sequence[Route]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([str(hop.address) for route in routes for hop in route.next_hops if hop.address]))
