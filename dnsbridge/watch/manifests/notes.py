"""Log lines about the manifests as a whole: kinds that are not used, and endpoints whose service is missing."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from dnsbridge.cluster.objects import Endpoints, EndpointSlice, Key, Object, Service
from dnsbridge.watch.manifests.file import FileObjects, shown

log = logging.getLogger(__name__)

MAX_LINES = 20
"""How many problems of one kind are logged one by one at a time."""


class Notes:
    """Logs each note once, and again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._orphans: set[Key] = set()
        self._unused = ""
        self._starts = True

    def start(self) -> None:
        """Log from now on what is not used. A server calls this; a command that reads once has its own output."""
        self._starts = False
        if self._unused:
            log.info("%s: not used: %s", shown(self._path), self._unused)

    def say(self, files: Mapping[Path, FileObjects], wanted: Mapping[Key, Object], origin: Mapping[Key, Path]) -> None:
        """Log what is new; `origin` is the file of each wanted object."""
        self._say_orphans(files, wanted, origin)
        self._say_unused(files)

    def _say_orphans(
        self, files: Mapping[Path, FileObjects], wanted: Mapping[Key, Object], origin: Mapping[Key, Path]
    ) -> None:
        """Log endpoints that have no names because their service is missing, unless the selectors leave it out."""
        unselected = frozenset[Key]().union(*(file.unselected for file in files.values()))
        orphans: dict[Key, Key] = {}
        for key, obj in wanted.items():
            if isinstance(obj, EndpointSlice | Endpoints):
                service = Key(Service.kind, obj.namespace, obj.service if isinstance(obj, EndpointSlice) else obj.name)
                if service not in wanted and service not in unselected:
                    orphans[key] = service
        new = [key for key in orphans if key not in self._orphans]
        for key in new[:MAX_LINES]:
            path = origin[key]
            text = f"{key}: {orphans[key]} is missing, so there is no name for it"
            log.warning("%s:%d: %s", shown(path), files[path].lines.get(key, 1), text)
        if len(new) > MAX_LINES:
            log.warning("%s: and %d more of services that are missing", shown(self._path), len(new) - MAX_LINES)
        self._orphans = set(orphans)

    def _say_unused(self, files: Mapping[Path, FileObjects]) -> None:
        found: Counter[str] = Counter()
        for file in files.values():
            found.update(file.unused)
        kinds = sorted(found.items(), key=lambda each: (-each[1], each[0]))
        words = [f"{count} {kind}" for kind, count in kinds[:MAX_LINES]]
        if len(kinds) > MAX_LINES:
            words.append(f"{sum(count for _, count in kinds[MAX_LINES:])} of other kinds")
        text = ", ".join(words)
        if text and text != self._unused and not self._starts:
            log.info("%s: not used: %s", shown(self._path), text)
        self._unused = text
