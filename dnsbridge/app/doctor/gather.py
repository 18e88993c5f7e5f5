"""Gathers all facts about a name, each once: objects first, then questions to servers, then packets."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from ipaddress import ip_address
from typing import TypeVar

from msgspec import structs

from dnsbridge.app.answering.parts_once import parts_once
from dnsbridge.app.doctor import host_files, objects
from dnsbridge.app.doctor.ask import ask
from dnsbridge.app.doctor.connect import connect
from dnsbridge.app.doctor.planned import planned
from dnsbridge.app.doctor.ways import ways
from dnsbridge.app.this_machine import RESOLV_CONF
from dnsbridge.config import Address, Loaded, Settings
from dnsbridge.doctor.facts import Connect, Facts, Record, Reply, Source, Way
from dnsbridge.errors import CannotStart
from dnsbridge.watch.resolv_conf import parse

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

MAX_ADDRESSES = 4
"""Addresses of a name that packets are sent to."""
MAX_RESOLVERS = 3
"""As many as a stub resolver asks (resolv.conf(5))."""
SYSTEM_TIMEOUT = 10.0
"""Seconds for getaddrinfo(3), which asks each server twice."""
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


async def gather(name: str, port: int | None, resolvers: Sequence[Address], loaded: Loaded | str) -> Facts:
    """The facts about a name without a final dot, or about an address; `loaded` may be what is wrong with it."""
    if isinstance(loaded, str):
        found, here = Facts(name, port, settings=loaded), None
    else:
        found = await _objects(name, port, loaded)
        here = _listening(loaded.settings)
    if _is_address(name):
        if found.record is None:
            found = structs.replace(found, record=_address_alone(name))
        return await _with_packets(found)
    own = _name_servers()
    servers = resolvers or [Address(host, 53) for host in own]
    log.info("asking %s and this host", ", ".join(map(str, [*([here] if here else []), *servers[:MAX_RESOLVERS]])))
    asked = [asyncio.to_thread(ask, *each, name) for each in ([here] if here else [])]
    asked += [asyncio.to_thread(ask, *each, name) for each in servers[:MAX_RESOLVERS]]
    *replies, system = await asyncio.gather(*asked, _system(name))
    found = structs.replace(
        found,
        here=replies[0] if here else None,
        resolvers=tuple(replies[1:] if here else replies),
        system=system,
        name_servers=tuple(own),
        nsswitch=host_files.nsswitch(),
        search=host_files.search(RESOLV_CONF),
    )
    return await _with_packets(found)


async def _objects(name: str, port: int | None, loaded: Loaded) -> Facts:
    origin = loaded.origins.get("") or "flags and defaults"
    facts = Facts(name, port, settings_from=origin)
    if not loaded.settings.clusters:
        return facts
    try:
        async with parts_once(loaded, routes=True) as parts:
            if _is_address(name):
                record, service = _address_alone(name), None
            else:
                record, service = await objects.record(parts, name), objects.service(parts, name)
            return structs.replace(
                facts,
                sources=tuple(objects.sources(parts)),
                record=record,
                service=service,
                unannounced=objects.unannounced(parts, record.cluster),
                planned=await planned(loaded, parts.feeds, record.addresses[:MAX_ADDRESSES]),
            )
    except CannotStart as error:
        cluster = loaded.settings.clusters[0].name
        return structs.replace(facts, sources=(Source(cluster, "its source", False, str(error)),))


async def _with_packets(facts: Facts) -> Facts:
    """The same with what becomes of packets to its addresses."""
    addresses = facts.wanted[:MAX_ADDRESSES]
    port = facts.port or (facts.service.ports[0] if facts.service and facts.service.ports else None)
    connects: list[Connect] = []
    if port and addresses:
        log.info("connecting to %s, port %d", ", ".join(addresses), port)
        connects = await asyncio.gather(*(connect(each, port) for each in addresses))
    found: tuple[Way, ...] = ()
    with suppress(OSError):  # without netlink nothing is known
        found = await asyncio.to_thread(ways, addresses)
    return structs.replace(facts, connects=tuple(connects), ways=found)


def _listening(settings: Settings) -> Address | None:
    """Where a server of these settings answers on this host."""
    host, port = settings.listen[0]
    return Address(_WILDCARDS.get(host, host), port) if port else None


def _name_servers() -> Sequence[str]:
    try:
        return parse(RESOLV_CONF.read_bytes()[: host_files.MAX_OCTETS])
    except OSError:
        return ()


async def _system(name: str) -> Reply:
    """What programs of this host get."""
    try:
        async with asyncio.timeout(SYSTEM_TIMEOUT):
            found = await _in_daemon(lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except TimeoutError:
        return Reply("this host", problem=f"no answer within {SYSTEM_TIMEOUT:g} s")
    except (OSError, UnicodeError) as error:
        return Reply("this host", problem=str(getattr(error, "strerror", None) or error).lower())
    return Reply("this host", "NOERROR", tuple(dict.fromkeys([str(each[4][0]).partition("%")[0] for each in found])))


async def _in_daemon(work: Callable[[], _Result]) -> _Result:
    """What a function returns that may block long after nobody waits for it: it keeps no program from ending."""
    done: Future[_Result] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(done)


def _address_alone(address: str) -> Record:
    return Record("NOERROR", "none", "", "an address, no name", addresses=(str(ip_address(address)),))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
