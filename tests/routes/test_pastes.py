"""Texts as people paste them: of each file of tables/pastes the plan through a gateway, and the plan without one.

After a change that is meant: `DNSBRIDGE_WRITE_GOLDEN=1 pytest tests/routes/test_pastes.py`, and read what differs.
"""

import asyncio
import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from dnsbridge.app.once import read_once
from dnsbridge.app.routes_wanted import wanted_routes
from dnsbridge.config import Loaded, Settings
from dnsbridge.config.routes import Gateways, Routes
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import Wanted
from tests.routes.support import lines

PASTES = Path(__file__).parent / "tables" / "pastes"
GOLDEN = Path(__file__).parent / "golden" / "pastes"
GATEWAYS = Gateways(addresses=(ip_address("10.9.9.9"), ip_address("fd09::9")))
THROUGH = Routes(via="gateways", gateways=GATEWAYS)
DIRECT = Routes()


def plan(files: list[Path], routes: Routes, manifests: Path | None = None) -> Wanted:
    """The plan of a place that reaches every address."""
    settings = Settings(
        clusters=(),
        routes=Routes(via=routes.via, gateways=routes.gateways, pod_cidrs=routes.pod_cidrs, tables=tuple(files)),
    )

    async def work() -> Wanted:
        loaded = Loaded(settings, {})
        async with read_once(loaded, routes=True) as parts:
            return await wanted_routes(loaded, parts, Host())

    return asyncio.run(work())


def both(*files: Path) -> Iterator[str]:
    """Both plans as text, without what is said of services."""
    for title, routes in (("through a gateway", THROUGH), ("without a gateway", DIRECT)):
        yield f"-- {title}"
        for line in lines(plan(list(files), routes)):
            if "a table does not say which prefixes services have" not in line:
                yield line


@pytest.mark.parametrize("path", sorted(PASTES.iterdir()), ids=lambda path: path.stem)
def test_plan(path: Path) -> None:
    """A text that somebody pasted gives the plan that was read and found right."""
    text = "".join(f"{line}\n" for line in both(path))
    golden = GOLDEN / f"{path.stem}.txt"
    if os.environ.get("DNSBRIDGE_WRITE_GOLDEN") == "1":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_every_golden_plan_is_checked() -> None:
    """No file of golden/pastes is left over."""
    assert {path.stem for path in GOLDEN.iterdir()} == {path.stem for path in PASTES.iterdir()}
