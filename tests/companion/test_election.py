"""Two companions and a Lease: one drives what only one may drive; when it is killed the other does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver.server import ApiServer, in_thread
from tests.companion.test_run import SERVICE_CIDR, settings
from tests.support.companion import Companion, node
from tests.support.namespace import Namespace
from tests.support.program import eventually

pytestmark = pytest.mark.needs("netns")
DURATION = 4.0
"""Seconds of the lease, the least that there may be."""


@pytest.fixture
def api(place: Namespace) -> Iterator[ApiServer]:
    """The cluster's API server, on the host's loopback: a node."""
    with in_thread(ApiServer(tls=False), place.enter) as server:
        server.change(put=[SERVICE_CIDR, node(1)])
        yield server


class Elected(Companion):
    """A companion with a sink for one."""

    module = "tests.support.exclusive_companion"

    def __init__(self, place: Namespace, api: ApiServer, folder: Path, name: str) -> None:
        lease = {"name": "routes", "duration": f"{DURATION:g}s"}
        super().__init__(place, folder, settings(api, folder, sinks=["bgp"], bgp={"asn": 64512}, lease=lease))
        self.file = folder / name
        config = self._command[self._command.index("--config") + 1]
        self._command = [config, str(self.file)]

    def __enter__(self) -> "Elected":
        super().__enter__()
        return self

    def pushed(self) -> list[str]:
        """What it has pushed, if it has ever."""
        return self.file.read_text(encoding="utf-8").split() if self.file.exists() else []


def test_one_drives_and_another_takes_over(place: Namespace, api: ApiServer, tmp_path: Path) -> None:
    """The second waits while the first leads, leads when that is killed, and hands over at its own end."""
    with Elected(place, api, tmp_path, "first") as first:
        eventually(lambda: "10.244.1.0/24" in first.pushed())
        with Elected(place, api, tmp_path, "second") as second:
            second.wait_for_log(r"Lease kube-system/routes: \S+_\d+ leads")
            api.change(put=[node(2)])
            eventually(lambda: "10.244.2.0/24" in first.pushed())
            assert not second.pushed()
            first.kill()
            eventually(lambda: "10.244.2.0/24" in second.pushed())
            with Elected(place, api, tmp_path, "third") as third:
                third.wait_for_log(r"Lease kube-system/routes: \S+_\d+ leads")
                assert not third.pushed()
                second.stop()
                eventually(lambda: "10.244.2.0/24" in third.pushed())
                assert "10.244.2.0/24" in second.pushed(), "what was there stays"
