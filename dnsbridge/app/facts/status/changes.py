"""The recent changes of the clusters' objects: what came, went or changed, in a ring of fixed size.

A feed tells of its changes before it applies them. The first reading of a cluster is no news and is left out, and so is
an object that comes again as it was. Noting a change costs about a microsecond, and no question waits for it.
"""

import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Literal

from msgspec import structs

from dnsbridge.app.facts.status.document import Change
from dnsbridge.app.facts.times import utc
from dnsbridge.app.feeds import Feed
from dnsbridge.cluster import changes
from dnsbridge.cluster.changes import Gone
from dnsbridge.cluster.objects import Key

KEPT = 60
_What = Literal["came", "went", "changed"]


class RecentChanges:
    """Follows the feeds of a server."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._held: deque[tuple[float, str, _What, Key]] = deque(maxlen=KEPT)
        for feed in feeds:
            feed.noted = partial(self._note, feed)

    def shown(self) -> list[Change]:
        """The latest first."""
        return [
            Change(utc(at), cluster, what, key.kind, key.namespace, key.name)
            for at, cluster, what, key in reversed(self._held)
        ]

    def _note(self, feed: Feed, new: list[changes.Change]) -> None:
        if not feed.source.synced:
            return
        held = feed.index.objects
        now = time.time()
        for change in new:
            if isinstance(change, Gone):
                if change.key in held:
                    self._held.append((now, feed.name, "went", change.key))
                continue
            obj = change.object
            before = held.get(obj.key)
            if before is None:
                self._held.append((now, feed.name, "came", obj.key))
            elif structs.replace(before, resource_version=obj.resource_version) != obj:
                self._held.append((now, feed.name, "changed", obj.key))
