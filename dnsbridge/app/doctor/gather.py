"""Gathers all facts about a name, each once: objects first, then questions to servers, then packets."""

from collections.abc import Sequence
from ipaddress import ip_address

from msgspec import structs

from dnsbridge.app.answering.parts_once import parts_once
from dnsbridge.app.doctor import objects
from dnsbridge.app.doctor.packets import MAX_ADDRESSES, with_packets
from dnsbridge.app.doctor.planned import planned
from dnsbridge.app.doctor.questions import with_answers
from dnsbridge.config import Address, Loaded, Settings
from dnsbridge.doctor.facts import MANIFESTS, Facts, Record, Source
from dnsbridge.errors import CannotStart

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
        return await with_packets(found)
    return await with_packets(await with_answers(found, here, resolvers))


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
        return structs.replace(facts, sources=(_unread(loaded.settings, str(error)),))


def _unread(settings: Settings, problem: str) -> Source:
    """The source that keeps everything from being read."""
    files = {each: str(each.source.manifests) for each in settings.clusters if each.source.manifests}
    named = next((each for each, path in files.items() if path in problem), settings.clusters[0])
    return Source(named.name, f"{MANIFESTS}{files[named]}" if named in files else "its source", False, problem)


def _listening(settings: Settings) -> Address | None:
    """Where a server of these settings answers on this host."""
    host, port = settings.listen[0]
    return Address(_WILDCARDS.get(host, host), port) if port else None


def _address_alone(address: str) -> Record:
    return Record("NOERROR", "none", "", "an address, no name", addresses=(str(ip_address(address)),))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
