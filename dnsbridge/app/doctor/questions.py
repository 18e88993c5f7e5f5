"""Asks for a name in every way that counts: the server of this host, its name servers, its own resolver library."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from msgspec import structs

from dnsbridge.app.doctor import host_files
from dnsbridge.app.doctor.ask import ask, ask_more
from dnsbridge.app.doctor.scopes import address, scopes, uses_resolved
from dnsbridge.app.this_machine import RESOLV_CONF
from dnsbridge.config import Address
from dnsbridge.doctor.facts import Facts, Reply, Scope
from dnsbridge.errors import of_system
from dnsbridge.watch.resolv_conf import parse

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

MAX_RESOLVERS = 3
"""As many as a stub resolver asks (resolv.conf(5))."""
SYSTEM_TIMEOUT = 10.0
"""Seconds for getaddrinfo(3), which asks each server twice."""


async def with_answers(facts: Facts, here: Address | None, resolvers: Sequence[Address]) -> Facts:
    """The same with what everybody says of the name; no resolvers: those of this host."""
    own, nsswitch = _name_servers(), host_files.nsswitch()
    servers = (resolvers or [Address(host, 53) for host in own])[:MAX_RESOLVERS]
    everybody = dict.fromkeys([*([here] if here else []), *servers])
    log.info("asking %s and this host", ", ".join(map(str, everybody)))
    behind = await asyncio.to_thread(scopes) if uses_resolved(own, nsswitch) else []
    said_here, replies, asked, system, absolute = await asyncio.gather(
        _ask_all(facts, [here] if here else []),
        _ask_all(facts, servers),
        asyncio.gather(*[_with_replies(facts, each) for each in behind]),
        _system(facts.name),
        _system(f"{facts.name}."),
    )
    return structs.replace(
        facts,
        here=said_here[0] if said_here else None,
        resolvers=replies,
        system=system,
        absolute=absolute,
        name_servers=tuple(own),
        nsswitch=nsswitch,
        search=host_files.search(RESOLV_CONF),
        ndots=host_files.ndots(RESOLV_CONF),
        scopes=tuple(asked),
    )


async def _ask_all(facts: Facts, servers: Sequence[Address]) -> tuple[Reply, ...]:
    return tuple(await asyncio.gather(*[asyncio.to_thread(_ask, facts, each) for each in servers]))


async def _with_replies(facts: Facts, scope: Scope) -> Scope:
    """The scope with what its servers say."""
    servers = [found for each in scope.servers[:MAX_RESOLVERS] if (found := address(each))]
    return structs.replace(scope, replies=await _ask_all(facts, servers))


def _ask(facts: Facts, server: Address) -> Reply:
    """What a server says, and more of it where that is not what the objects say."""
    reply, record = ask(*server, facts.name), facts.record
    if not record or not record.addresses or not reply.rcode or set(reply.addresses) == set(record.addresses):
        return reply
    return ask_more(reply, *server, facts.name, record.zone)


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
    except UnicodeError:
        return Reply("this host", problem="no name of a host")
    except OSError as error:
        return Reply("this host", problem=of_system(error))
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
