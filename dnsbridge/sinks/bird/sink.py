"""The sink `bird`: a file of static routes that bird.conf includes, and the BIRD 2 that reads it.

    held       the routes in the file
    apply      BIRD's own parser tries bird.conf with the new file; then the file is replaced in one step and BIRD
               reads it (`birdc configure`, which leaves unchanged routes alone)
    reached    the routes that BIRD then shows; BIRD does not show a route whose next hop is on none of its links
    withdraw   the file stays, without routes: bird.conf includes it

If the parser rejects the new file, the old file and BIRD stay as they were.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from dnsbridge.routes.exports import Refused, export
from dnsbridge.routes.model import Failure, Prefix, Reached, Route
from dnsbridge.routes.sink import Held, SinkProblem
from dnsbridge.sinks.bird import bird_file
from dnsbridge.sinks.command import run
from dnsbridge.sinks.text_files import read_file, replace_file

ANSWER_SECONDS = 30.0
"""Seconds that BIRD's programs may take."""
SETTLE_SECONDS = 3.0
"""Seconds for new routes to appear in BIRD's table."""
_LOOK = 0.05


class BirdSink:
    """The routes of one BIRD."""

    name = "bird"
    exclusive = False

    def __init__(self, file: Path, config: Path, socket: Path | None = None) -> None:
        """`file` is ours; `config` is the bird.conf that includes it; `socket` None is BIRD's default socket."""
        self._file = file
        self._config = config
        self._birdc = ["birdc", *(["-s", str(socket)] if socket else [])]
        self._lock = asyncio.Lock()

    async def held(self) -> Held:
        """The routes in the file. Raises SinkProblem."""
        return Held(bird_file.read(read_file(self.name, self._file) or ""))

    async def apply(self, routes: Sequence[Route]) -> Reached:
        """Make the file hold these routes, and BIRD use them. Raises SinkProblem, with the old file in force."""
        exported = export("bird", routes)
        if isinstance(exported, Refused):
            raise SinkProblem(f"bird: {exported.problem}")
        written = {route.prefix: _ways(route) for route in bird_file.read(exported.text)}
        failures = [
            Failure(route.prefix, f"BIRD's file cannot carry its next hop: {', '.join(map(str, route.next_hops))}")
            for route in routes
            if written.get(route.prefix) != _ways(route)
        ]
        prefixes = frozenset(written)
        async with self._lock:
            old = read_file(self.name, self._file)
            if exported.text != old or await self._shown() != prefixes:
                await self._try(exported.text)
                replace_file(self.name, self._file, exported.text)
                await self._configure(old)
            shown = await self._settled(prefixes)
        for route in routes:
            if route.prefix in prefixes and route.prefix not in shown:
                hops = ", ".join(map(str, route.next_hops))
                why = f"BIRD does not use it: the next hop is on none of its links: {hops}"
                failures.append(Failure(route.prefix, why))
        failed = {failure.prefix for failure in failures}
        return Reached(tuple(route for route in routes if route.prefix not in failed), tuple(failures))

    async def withdraw(self) -> Reached:
        """Leave no route in the file. Raises SinkProblem."""
        if read_file(self.name, self._file) is None:
            return Reached()
        return await self.apply(())

    async def close(self) -> None:
        """Nothing is open."""

    async def _try(self, text: str) -> None:
        """Have BIRD's parser read bird.conf with this text in place of our file. Raises SinkProblem."""
        with tempfile.TemporaryDirectory(prefix="dnsbridge-bird-") as name:
            copy = _trial(self._config, self._file, text, Path(name))
            tried = await run(self.name, ["bird", "-p", "-c", str(copy)], ANSWER_SECONDS)
        if not tried.well:
            said = tried.words.replace(f"{name}/routes.conf", str(self._file)).replace(str(copy), str(self._config))
            raise SinkProblem(f"bird: BIRD's parser rejects it, so nothing was changed: {said}")

    async def _configure(self, old: str | None) -> None:
        """Have BIRD read its configuration. Raises SinkProblem."""
        told = await run(self.name, [*self._birdc, "configure"], ANSWER_SECONDS)
        if told.well and "econfigur" in told.output:  # Reconfigured, Reconfiguration in progress
            return
        if "nable to connect" in told.output:
            # BIRD is not running; it reads the file when it starts.
            raise SinkProblem(f"bird: {self._file} is written, but BIRD does not read it: {told.words}")
        replace_file(self.name, self._file, old or "")
        raise SinkProblem(f"bird: BIRD does not take it, so the old file is back: {told.words}")

    async def _shown(self) -> frozenset[Prefix]:
        """The prefixes of ours that BIRD shows, as far as it answers."""
        prefixes: frozenset[Prefix] = frozenset()
        for version in (4, 6):
            show = ["show", "route", "protocol", f"dnsbridge{version}"]
            told = await run(self.name, [*self._birdc, *show], ANSWER_SECONDS)
            if told.well:  # false when there is no such protocol
                prefixes |= bird_file.shown(told.output)
        return prefixes

    async def _settled(self, wanted: frozenset[Prefix]) -> frozenset[Prefix]:
        """The prefixes of ours that BIRD shows, once they are the wanted ones or SETTLE_SECONDS have passed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_SECONDS
        while True:
            shown = await self._shown()
            if shown == wanted or loop.time() > deadline:
                return shown
            await asyncio.sleep(_LOOK)


def _ways(route: Route) -> set[tuple[object, str]]:
    """The next hops of a route without weights: a single next hop has no weight in the file."""
    return {(hop.address, hop.device) for hop in route.next_hops}


def _trial(config: Path, file: Path, text: str, place: Path) -> Path:
    """A copy of bird.conf in an empty folder, with a text in place of our file. Raises SinkProblem."""
    said = read_file("bird", config)
    if said is None:
        raise SinkProblem(f"bird: {config} does not exist; routes.bird.config names the bird.conf that BIRD reads")
    folder, ours, new = config.resolve().parent, file.absolute(), place / "routes.conf"
    # Our file may not exist yet, but a pattern that matches its name will include it.
    files = {ours, *(Path(each) for pattern in bird_file.patterns(said, folder) for each in glob(pattern))}
    copied = bird_file.trial(said, folder, ours, new, sorted(files))
    if copied is None:
        raise SinkProblem(f'bird: {config} does not include our file; add the line: include "{ours}";')
    new.write_text(text, encoding="utf-8")
    (place / "bird.conf").write_text(copied, encoding="utf-8")
    return place / "bird.conf"
