"""`routes run` on a real kernel: it follows the cluster, restores what others took, and never takes by silence."""

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.server import ApiServer, in_thread
from tests.support.companion import Companion, ip, node, table
from tests.support.namespace import Namespace
from tests.support.program import eventually
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.needs("netns")

SERVICES = "10.96.0.0/16"
SERVICE_CIDR = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "ServiceCIDR",
    "metadata": {"name": "kubernetes"},
    "spec": {"cidrs": [SERVICES]},
}


@pytest.fixture
def api(place: Namespace) -> Iterator[ApiServer]:
    """The cluster's API server, on the host's loopback: three nodes."""
    with in_thread(ApiServer(tls=False), place.enter) as server:
        server.watches.bookmark_interval = 0.2
        server.change(put=[SERVICE_CIDR, *(node(number) for number in (1, 2, 3))])
        yield server


def settings(api: ApiServer, folder: Path, **routes: Any) -> dict[str, Any]:
    """What the companion is told."""
    source = {"kubeconfig": str(api.kubeconfig(folder / "kubeconfig")), "silence": "1s"}
    cluster = {"name": "dev", "source": source, "max_staleness": "1500ms"}
    return {"clusters": [cluster], "routes": {"sinks": ["kernel"], "via": "nodes", **routes}}


def pods(place: Namespace) -> dict[str, str]:
    """Our routes to pods, by the number of the node whose they are."""
    return {prefix.split(".")[2]: hop for prefix, hop in table(place).items() if prefix.startswith("10.244.")}


class Seen:
    """Lines of `ip monitor`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def wait_for(self, text: str) -> None:
        """Wait until a line with this has come."""
        eventually(lambda: any(text in line for line in self.lines))


@contextlib.contextmanager
def monitor(place: Namespace) -> Iterator[Seen]:
    """Hear the kernel's own words about routes."""
    seen = Seen()
    process = subprocess.Popen([*place.prefix, "ip", "monitor", "route"], stdout=subprocess.PIPE, text=True, bufsize=1)

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            seen.lines.append(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        # It is heard that it listens.
        def listens() -> bool:
            ip(place, "route replace blackhole 192.0.2.0/24")
            ip(place, "route del blackhole 192.0.2.0/24")
            return bool(seen.lines)

        eventually(listens)
        seen.lines.clear()
        yield seen
    finally:
        process.kill()
        process.wait()
        thread.join()
        assert process.stdout
        process.stdout.close()


THREE = {"1": "10.0.0.11", "2": "10.0.0.12", "3": "10.0.0.13"}


def test_the_kernel_follows_the_cluster(place: Namespace, api: ApiServer, tmp_path: Path) -> None:
    """Nodes come and go, and one route of pods each with them; what is foreign stays; an end leaves all."""
    ip(place, "route add 10.50.0.0/16 via 10.0.0.99 proto bird")
    foreign = ip(place, "route show proto bird")
    with Companion(place, tmp_path, settings(api, tmp_path)) as companion:
        eventually(lambda: pods(place) == THREE)
        eventually(lambda: SERVICES in table(place))
        before = len(companion.lines)
        with monitor(place) as seen:
            for number in range(4, 9):
                api.change(put=[node(number)])
                seen.wait_for(f"10.244.{number}.0/24")
            for number in range(4, 9):
                api.change(delete=[node(number)])
                seen.wait_for(f"Deleted 10.244.{number}.0/24")
                companion.wait_for_log(rf"sink kernel: removed 10\.244\.{number}\.")
            touched = [line for line in seen.lines if "10.244." in line]
        assert len(touched) == 10, touched
        said = [line for line in companion.lines[before:] if "sink kernel: " in line and " 10.244." in line]
        assert len(said) == 10, said
        assert ip(place, "route show proto bird") == foreign
    assert pods(place) == THREE


def test_what_others_take_comes_back(place: Namespace, api: ApiServer, tmp_path: Path) -> None:
    """A route of ours that is deleted by hand comes back, and so are those that went with their interface."""
    with Companion(place, tmp_path, settings(api, tmp_path)) as companion:
        eventually(lambda: pods(place) == THREE)
        ip(place, "route del 10.244.2.0/24")
        eventually(lambda: pods(place) == THREE)
        companion.wait_for_log(r"sink kernel: added 10\.244\.2\.0/24")
        ip(place, "link set lan down")
        eventually(lambda: not pods(place))
        ip(place, "link set lan up")
        eventually(lambda: pods(place) == THREE)


def test_silence_takes_nothing(place: Namespace, api: ApiServer, tmp_path: Path) -> None:
    """The API server goes away, the companion is killed and started anew meanwhile: the routes stay all the time."""
    with Companion(place, tmp_path, settings(api, tmp_path)) as companion:
        eventually(lambda: pods(place) == THREE)
        run(api, api.unlisten())
        with monitor(place) as seen:
            companion.kill()
            assert pods(place) == THREE
            with Companion(place, tmp_path, settings(api, tmp_path)) as second:
                second.wait_for_log(r"has 4 routes of ours from before")
                second.wait_for_log(r"cluster dev: .*trying again")
                assert pods(place) == THREE
                api.change(delete=[node(3)])
                run(api, api.listen())
                eventually(lambda: pods(place) == {"1": "10.0.0.11", "2": "10.0.0.12"})
            touched = [line for line in seen.lines if "10.244." in line]
            assert len(touched) == 1, touched


def run(api: ApiServer, work: Any) -> None:
    """Run a coroutine of the server in its loop."""
    assert api._loop
    asyncio.run_coroutine_threadsafe(work, api._loop).result(DEADLINE)


def test_a_mass_change_stops(place: Namespace, api: ApiServer, tmp_path: Path) -> None:
    """When more than half go, each with an event of its own, it stops at half, and a person can agree to the rest."""
    many = [node(number) for number in range(4, 14)]
    api.change(put=many)
    with Companion(place, tmp_path, settings(api, tmp_path)) as companion:
        eventually(lambda: len(pods(place)) == 13)
        with_nobody = [node(number) for number in range(3, 14)]
        api.change(delete=with_nobody)
        companion.wait_for_log(r"routes would go at once.*--allow-mass-change")
        left = len(pods(place))
        assert left >= 6
        applied = place.run(*companion.command("apply", "--allow-mass-change"))
        assert applied.returncode == 0, applied.stderr
        assert len(pods(place)) == 2
        before = len(companion.lines)
        api.change(put=[node(20)])
        eventually(lambda: len(pods(place)) == 3)
        assert not [line for line in companion.lines[before:] if "ERROR" in line]
