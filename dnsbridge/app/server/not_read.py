"""Log lines about clusters that have not been read: which resources are missing, and what they wait for."""

from collections.abc import Iterable

from dnsbridge.app.feeds import Feed
from dnsbridge.watch.api.source import ApiSource

FIRST = 5.0
"""Seconds from the start to the first line; each interval is twice the one before, up to LONGEST."""
LONGEST = 600.0


class NotRead:
    """Decides when the next line about clusters that have not been read is due."""

    def __init__(self, now: float) -> None:
        """`now` in monotonic seconds, as in everything else here."""
        self._interval = FIRST
        self._due = now + FIRST

    def lines(self, feeds: Iterable[Feed], now: float) -> list[str]:
        """The lines that are due."""
        if now < self._due:
            return []
        self._interval = min(self._interval * 2, LONGEST)
        self._due = now + self._interval
        sources = [(each.name, each.source) for each in feeds]
        return [
            f"cluster {name}: not read yet: {', '.join(missing)}"
            for name, source in sources
            if isinstance(source, ApiSource) and (missing := source.missing())
        ]
