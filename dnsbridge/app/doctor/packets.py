"""Sends packets to the addresses of a name, and looks at how this host does so."""

import asyncio
import logging
from contextlib import suppress

from msgspec import structs

from dnsbridge.app.doctor.connect import connect
from dnsbridge.app.doctor.probe import fitting, trail
from dnsbridge.app.doctor.reverse_path import strict_devices, turned_away
from dnsbridge.app.doctor.ways import ways
from dnsbridge.doctor.facts import Connect, Facts, Way

log = logging.getLogger(__name__)

MAX_ADDRESSES = 4
"""Addresses of a name that packets are sent to."""


async def with_packets(facts: Facts) -> Facts:
    """The same with what becomes of packets to its addresses."""
    addresses = facts.wanted[:MAX_ADDRESSES]
    port = facts.port or (facts.service.ports[0] if facts.service and facts.service.ports else None)
    connects: list[Connect] = []
    before = turned_away()
    if port and addresses:
        log.info("connecting to %s, port %d", ", ".join(addresses), port)
        connects = await asyncio.gather(*(_connect(each, port) for each in addresses))
    dropped = turned_away() - before
    found: tuple[Way, ...] = ()
    with suppress(OSError):  # without netlink nothing is known
        found = await asyncio.to_thread(ways, addresses)
    via = {way.address: way.via for way in found if way.kind == "unicast"}
    silent = [each.address for each in connects if each.result == "silent" and each.address in via]
    return structs.replace(
        facts,
        connects=tuple(connects),
        ways=found,
        trails=tuple(await asyncio.gather(*[trail(each, via[each]) for each in silent])),
        turned_away=dropped,
        strict=strict_devices(),
    )


async def _connect(address: str, port: int) -> Connect:
    """A connection, and the largest packet that its way takes."""
    made = await connect(address, port)
    if not made.mtu:
        return made
    mtu, fits = await fitting(address, made.mtu)
    return structs.replace(made, mtu=mtu, fits=fits)
