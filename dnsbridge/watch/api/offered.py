"""The API groups that a server offers: GET /apis (`metav1.APIGroupList`).

The list is the server's own, and stays whole while one of the servers behind it (APIService) is down. Only a whole list
is an answer; an error, a refusal or a proxy's page is none.
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
    """The groups that a server offers, as `GROUP/VERSION`."""

    versions: frozenset[str]

    def offer(self, resources: Iterable[Resource]) -> bool:
        """Whether the server offers all of these resources; the core group, v1, always counts as offered."""
        return all(each.group_version == "v1" or each.group_version in self.versions for each in resources)


class NotSaid(msgspec.Struct, frozen=True):
    """The server has given no list of its groups."""

    no_discovery: bool = False
    """The server says that it has no such list (404)."""


_decoder = msgspec.json.Decoder(_GroupList)


def read_groups(status: int, body: bytes) -> Groups | NotSaid:
    """Decode the answer to GET /apis."""
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
    """Ask the server for its groups; raises what the connection raises."""
    async with connection.get("/apis", silence) as response:
        return read_groups(response.status, await response.read())
