"""The troubles with one API server, and the log lines about them.

Problems whose texts differ only in numbers are one kind of trouble. The first meeting of a kind gives a line. Further
meetings are counted, whichever resource meets them, and a line gives the count at growing intervals. A kind ends once
every resource that met it has read something. It may soon be back, so it is forgotten only after a while.
"""

import re

from msgspec import Struct, field

FIRST_INTERVAL = 10.0
"""Seconds until a line gives the count of a kind's meetings; doubled after each such line."""
LONGEST_INTERVAL = 900.0
MAX_KINDS = 10
"""Kinds that are told apart; all further ones count as one kind."""
SHOWN = 3
"""Resources that a line names; the line only counts the others."""

_NUMBERS = re.compile(r"\d+")


class _Kind(Struct):
    said_at: float
    met: dict[str, None]
    """The resources that met this kind and have read nothing since, in order."""
    all_met: dict[str, None]
    """The resources that met this kind since it began."""
    interval: float = FIRST_INTERVAL
    count: int = 0
    """Meetings since its last line."""
    open: bool = True
    """A line about its end is still due."""
    ended_at: float | None = None


class Troubles(Struct):
    """The troubles of one server."""

    _kinds: dict[str, _Kind] = field(default_factory=dict)

    def meet(self, problem: str, about: str, now: float) -> str:
        """Note that a resource met a problem (`about` empty: the whole server). Returns the line to log, or nothing."""
        key = self._key(problem, now)
        kind = self._kinds.get(key)
        if kind is None or (kind.ended_at is not None and now - kind.ended_at > kind.interval):
            self._kinds[key] = _Kind(now, {about: None}, {about: None})
            return f"{_names([about])}{problem}"
        kind.count += 1
        kind.met[about] = kind.all_met[about] = None
        kind.ended_at = None
        seconds = now - kind.said_at
        if seconds < kind.interval:
            return ""
        line = f"{_names(kind.met)}{problem} (still, {_times(kind.count)} in {seconds:.0f} s)"
        kind.said_at, kind.count, kind.open = now, 0, True
        kind.interval = min(kind.interval * 2, LONGEST_INTERVAL)
        return line

    def read(self, about: str, now: float) -> list[str]:
        """Note that a resource has read something. Returns the lines to log about troubles that this ends."""
        said = []
        for kind in self._kinds.values():
            if kind.ended_at is not None or not ({about, ""} & kind.met.keys()):
                continue
            kind.met.pop(about, None)
            kind.met.pop("", None)
            if kind.met:
                continue
            kind.ended_at = now
            if kind.open:
                said.append(f"{_names(kind.all_met)}connected again")
            kind.open = False
            kind.all_met = {}
        return list(dict.fromkeys(said))

    def _key(self, problem: str, now: float) -> str:
        key = _NUMBERS.sub("#", problem)
        if key in self._kinds or len(self._kinds) < MAX_KINDS:
            return key
        for old, kind in self._kinds.items():
            if kind.ended_at is not None and now - kind.ended_at > kind.interval:
                del self._kinds[old]
                return key
        return ""


def _names(met: "list[str] | dict[str, None]") -> str:
    named = [name for name in met if name]
    if not named:
        return ""
    more = len(named) - SHOWN
    return ", ".join(named[:SHOWN]) + (f" and {more} more" if more > 0 else "") + ": "


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
