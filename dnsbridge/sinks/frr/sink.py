"""The sink `frr`: static routes of FRR, set through vtysh and marked by a tag.

    held       the static routes of the running configuration with our tag; all other static routes are foreign
    apply      vtysh checks the lines (`--dryrun`), then staticd takes the difference: additions before removals
    reached    the routes that FRR has put into the kernel's table; it keeps back a route whose next hop is unreachable
    failures   by prefix; also where somebody else has a static route: our next hops are not added to a foreign route

The saved configuration is not written: that would save changes that somebody else is only trying out. After a restart
of FRR our routes are missing until `routes run` checks again, or until `routes apply`.
"""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dnsbridge.routes.model import Failure, Prefix, Reached, Route
from dnsbridge.routes.sink import Held, SinkProblem
from dnsbridge.sinks.command import Done, run
from dnsbridge.sinks.frr import frr_lines

TAG = 83
"""The tag of our routes: the same number as our routing protocol in the kernel."""
ANSWER_SECONDS = 120.0
"""Seconds that vtysh may take; it needs about a millisecond for a line."""
SETTLE_SECONDS = 3.0
"""Seconds for new routes to reach the kernel's table."""
_LOOK = 0.05


class FrrSink:
    """The static routes of one FRR that carry our tag."""

    name = "frr"
    exclusive = False

    def __init__(self, vty_dir: Path | None = None, tag: int = TAG) -> None:
        """`vty_dir` is the folder of FRR's sockets; None is FRR's default."""
        self._vtysh = ["vtysh", *(["--vty_socket", str(vty_dir)] if vty_dir else [])]
        self._tag = tag
        self._lock = asyncio.Lock()

    async def held(self) -> Held:
        """The static routes of the running configuration. Raises SinkProblem."""
        done = await run(self.name, [*self._vtysh, "-d", "staticd", "-c", "show running-config"], ANSWER_SECONDS)
        if not done.well:
            raise SinkProblem(f"frr: vtysh does not reach staticd; is FRR running, and may we use it? {done.words}")
        return frr_lines.read(done.output, self._tag)

    async def apply(self, routes: Sequence[Route]) -> Reached:
        """Make these FRR's only routes with our tag. Raises SinkProblem, with nothing changed."""
        async with self._lock:
            held = await self.held()
            wanted, failures = self._lines(routes, held)
            old = {line for lines in self._lines(held.own, Held())[0].values() for line in lines}
            new = {line: None for lines in wanted.values() for line in lines}
            changes = [line for line in new if line not in old] + [f"no {line}" for line in old if line not in new]
            if said := await self._configure(changes):
                failures |= self._refused(wanted, await self.held(), said)
            counts = {prefix: len(lines) for prefix, lines in wanted.items() if prefix not in failures}
            used = await self._settled(counts)
        for route in routes:
            if used.get(route.prefix, 0) < counts.get(route.prefix, 0):
                hops = ", ".join(str(hop) for hop in route.next_hops)
                failures[route.prefix] = f"FRR cannot reach every next hop, or prefers another route: {hops}"
        reached = tuple(route for route in routes if route.prefix not in failures)
        foreign = {each.prefix for each in held.foreign}
        return Reached(reached, tuple(Failure(prefix, why, prefix in foreign) for prefix, why in failures.items()))

    async def withdraw(self) -> Reached:
        """Remove all our routes. Raises SinkProblem."""
        return await self.apply(())

    async def close(self) -> None:
        """Nothing is open."""

    def _lines(self, routes: Sequence[Route], held: Held) -> tuple[dict[Prefix, list[str]], dict[Prefix, str]]:
        """The lines of each route by prefix, and for routes without lines the reason."""
        foreign = {each.prefix: each.text for each in held.foreign}
        lines: dict[Prefix, list[str]] = {}
        failures: dict[Prefix, str] = {}
        for route in routes:
            if route.prefix in foreign:
                failures[route.prefix] = f"FRR has it from somebody else, left alone: {foreign[route.prefix]}"
                continue
            try:
                lines[route.prefix] = frr_lines.lines_of(route, self._tag)
            except frr_lines.Unwritable as why:
                failures[route.prefix] = str(why)
        return lines, failures

    def _refused(self, wanted: dict[Prefix, list[str]], held: Held, said: str) -> dict[Prefix, str]:
        """The failures, found by comparing configurations: FRR's message does not name the prefix."""
        now, _ = self._lines(held.own, Held())
        failures = {
            prefix: f"FRR does not take it: {said}"
            for prefix, lines in wanted.items()
            if set(now.get(prefix, ())) != set(lines)
        }
        return failures | {prefix: f"FRR does not let it go: {said}" for prefix in now if prefix not in wanted}

    async def _configure(self, lines: Sequence[str]) -> str:
        """Have vtysh check lines and staticd take them; returns any complaint. Raises SinkProblem, nothing done."""
        if not lines:
            return ""
        with tempfile.TemporaryDirectory(prefix="dnsbridge-frr-") as folder:
            file = _written(Path(folder), lines)
            checked = await run(self.name, [*self._vtysh, "--dryrun", "-f", str(file)], ANSWER_SECONDS)
            if _complains(checked):
                said = checked.words.replace(str(file), "the lines")
                raise SinkProblem(f"frr: vtysh rejects it, so nothing was changed: {said}")
            done = await run(self.name, [*self._vtysh, "-d", "staticd", "-f", str(file)], ANSWER_SECONDS)
        return done.words if _complains(done) else ""

    async def _settled(self, wanted: dict[Prefix, int]) -> dict[Prefix, int]:
        """The number of next hops in use by prefix, once all are in use or SETTLE_SECONDS have passed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_SECONDS
        while True:
            shown = [
                (
                    await run(self.name, [*self._vtysh, "-d", "zebra", "-c", f"show {family} route static json"], 120)
                ).output
                for family in ("ip", "ipv6")
            ]
            try:
                used = {each.prefix: each.hops for each in frr_lines.used(shown, self._tag)}
            except (json.JSONDecodeError, ValueError, AttributeError):
                raise SinkProblem("frr: vtysh does not show zebra's routes; is zebra running?") from None
            if all(used.get(prefix, 0) >= hops for prefix, hops in wanted.items()) or loop.time() > deadline:
                return used
            await asyncio.sleep(_LOOK)


def _written(folder: Path, lines: Sequence[str]) -> Path:
    file = folder / "routes.conf"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def _complains(done: Done) -> bool:
    return not done.well or "%" in done.output
