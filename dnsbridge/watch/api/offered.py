"""Which groups of APIs a server says that it offers: GET /apis (`metav1.APIGroupList`).

The list is the server's own, also while one of the servers behind it (APIService) is down. Nothing but a whole list is
an answer: not an error, not a refusal, not the page of a proxy.
"""

from collections.abc import Iterable

import msgspec

from dnsbridge.watch.api import frames
from dnsbridge.watch.api.connection import Connection
from dnsbridge.watch.api.resources import Resource


class _Version(msgspec.Struct, rename="camel"):
    group_version: str


class _Group(msgspec.Struct):
    versions: list[_Version]


class _GroupList(msgspec.Struct):
    kind: str
    groups: list[_Group]


class Groups(msgspec.Struct, frozen=True):
    """What a server offers, as `GROUP/VERSION`."""

    versions: frozenset[str]

    def offer(self, resources: Iterable[Resource]) -> bool:
        """Whether all of these are among them; those of the first group, v1, always are."""
        return all(each.group_version == "v1" or each.group_version in self.versions for each in resources)


class NotSaid(msgspec.Struct, frozen=True):
    """A server that has given no list of its groups."""

    no_discovery: bool = False
    """It says that it has none (404)."""


_decoder = msgspec.json.Decoder(_GroupList)


def read_groups(status: int, body: bytes) -> Groups | NotSaid:
    """What an answer says."""
    if status != 200:
        return NotSaid(no_discovery=status == 404)
    try:
        found = _decoder.decode(body)
    except frames.UNREADABLE:
        return NotSaid()
    if found.kind != "APIGroupList":
        return NotSaid()
    return Groups(frozenset(version.group_version for group in found.groups for version in group.versions))


async def groups_of(connection: Connection, silence: float) -> Groups | NotSaid:
    """What the server says; raises what the connection raises."""
    async with connection.get("/apis", silence) as response:
        return read_groups(response.status, await response.read())
