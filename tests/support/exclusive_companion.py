"""`routes run` with a sink that only one companion may drive: a file of its own, for tests of the election.

    python -m tests.support.exclusive_companion CONFIG FILE

FILE holds the prefixes that this process has pushed, one a line; withdrawn, it is empty.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from dnsbridge.app.companion.run import run_routes
from dnsbridge.config import Flags, Loaded, load
from dnsbridge.observe.log import start_logging
from dnsbridge.routes.model import Reached, Route
from dnsbridge.routes.sink import Held


class FileSink:
    """Writes what it is given."""

    name = "exclusive"
    exclusive = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._routes: tuple[Route, ...] = ()

    async def held(self) -> Held:
        return Held(self._routes)

    async def apply(self, routes: Sequence[Route]) -> Reached:
        self._routes = tuple(routes)
        self._path.write_text("".join(f"{route.prefix}\n" for route in routes), encoding="utf-8")
        return Reached(self._routes)

    async def withdraw(self) -> Reached:
        return await self.apply(())

    async def close(self) -> None: ...


if __name__ == "__main__":
    loaded = load(Path(sys.argv[1]), Flags())
    assert isinstance(loaded, Loaded)
    start_logging()
    asyncio.run(run_routes(loaded, [FileSink(Path(sys.argv[2]))], allow_mass_change=False))
