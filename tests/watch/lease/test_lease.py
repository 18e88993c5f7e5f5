"""Leader election by a Lease of the test API server, on a loop that drives its own clock."""

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dnsbridge.watch.api.connection import ApiAddress
from dnsbridge.watch.lease import elected as lease
from dnsbridge.watch.lease.elected import SHORTEST, Candidate
from tests.apiserver.access import Rule, User
from tests.apiserver.resources import BY_PLURAL
from tests.apiserver.server import ApiServer
from tests.support.driven_loop import clock, pass_time, run_driven
from tests.support.waiting import until

DURATION = SHORTEST
"""Seconds of the lease."""


class Member:
    """A candidate, and what it was told, when."""

    def __init__(self, name: str, kubeconfig: Path) -> None:
        self.name = name
        self.told: list[tuple[str, float]] = []
        address = ApiAddress(kubeconfig)
        noted = [self._noted(what) for what in ("lead", "lose", "other")]
        self.candidate = Candidate(address, "routes", "kube-system", DURATION, *noted)

    def _noted(self, what: str) -> lease.Act:
        async def note() -> None:
            self.told.append((what, clock()))

        return note

    @property
    def words(self) -> list[str]:
        """What it was told, in order."""
        return [what for what, _ in self.told]

    def start(self) -> "asyncio.Task[None]":
        """Take part; each has a name of its own, as processes have."""

        async def run() -> None:
            _own.set(self.name)
            await self.candidate.run()

        return asyncio.create_task(run())


_own: contextvars.ContextVar[str] = contextvars.ContextVar("own", default="test")


@pytest.fixture(autouse=True)
def _identities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "identity", _own.get)


@asynccontextmanager
async def api(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, Path]]:
    """A server, and a kubeconfig for it."""
    async with ApiServer() as server:
        yield server, server.kubeconfig(tmp_path / "kubeconfig")


def spec(server: ApiServer) -> dict[str, Any]:
    """The Lease as it is."""
    entry = server.store.get(BY_PLURAL["leases"], "kube-system", "routes")
    assert entry
    found: dict[str, Any] = entry.object()["spec"]
    return found


async def stop(task: "asyncio.Task[None]") -> None:
    """End a member in order."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_one_leads_and_hands_over_when_it_ends(tmp_path: Path) -> None:
    """Of two one leads; when it ends in order the other leads without waiting for the end of the lease."""

    async def scenario() -> None:
        async with api(tmp_path) as (server, kubeconfig):
            one, two = Member("one", kubeconfig), Member("two", kubeconfig)
            first = one.start()
            await until(lambda: one.candidate.leads)
            second = two.start()
            await until(lambda: two.candidate.holder == "one")
            assert spec(server)["holderIdentity"] == "one"
            await stop(first)
            began = clock()
            await until(lambda: two.candidate.leads)
            assert clock() - began < DURATION * 0.6
            assert (one.words, two.words) == (["lead", "lose"], ["lead"])
            assert spec(server)["holderIdentity"] == "two"
            assert spec(server)["renewTime"].endswith("Z") or "+00:00" in spec(server)["renewTime"]
            await stop(second)
            assert spec(server)["holderIdentity"] == ""

    run_driven(scenario())


def test_the_api_server_falls_silent(tmp_path: Path) -> None:
    """A leader that cannot renew stops before the lease ends, and leads again when it can."""

    async def scenario() -> None:
        async with api(tmp_path) as (server, kubeconfig):
            one = Member("one", kubeconfig)
            task = one.start()
            await until(lambda: one.candidate.leads)
            await server.unlisten()
            began = clock()
            await until(lambda: not one.candidate.leads)
            assert clock() - began < DURATION * 0.7
            await asyncio.sleep(0)
            await server.listen()
            await until(lambda: one.candidate.leads)
            assert one.words == ["lead", "lose", "lead"]
            await stop(task)

    run_driven(scenario())


def test_another_takes_over_and_the_loser_is_told(tmp_path: Path) -> None:
    """When the lease is another's, the loser stops, and after a duration of the other's rule it may clean up."""

    async def scenario() -> None:
        async with api(tmp_path) as (server, kubeconfig):
            one = Member("one", kubeconfig)
            task = one.start()
            await until(lambda: one.candidate.leads)

            def other(renewal: int) -> None:
                times = {"renewTime": f"2026-01-01T00:00:{renewal:02}.000001Z", "acquireTime": "2026-01-01T00:00:00Z"}
                held = {"holderIdentity": "two", "leaseDurationSeconds": 4, **times}
                metadata = {"name": "routes", "namespace": "kube-system"}
                server.change(
                    [{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": held}]
                )

            renewal = 0
            while one.words != ["lead", "lose", "other"]:
                assert renewal < 1000
                renewal += 1
                other(renewal % 60)
                await pass_time(0.05)
            times = dict(one.told)
            assert times["other"] - times["lose"] >= DURATION * 0.9
            assert not one.candidate.leads
            await stop(task)

    run_driven(scenario())


def test_no_permission_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without the right to leases nobody leads, and the log says once what a Role must grant."""

    async def scenario() -> None:
        async with ApiServer() as server:
            server.access.rules["reader"] = [Rule(("list",), ("services",))]
            kubeconfig = server.kubeconfig(tmp_path / "kubeconfig", User("reader"))
            one = Member("one", kubeconfig)
            task = one.start()
            await until(lambda: "leases" in caplog.text)
            await pass_time(60)
            assert not one.words
            await stop(task)

    run_driven(scenario())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1, lines
    assert 'resources: ["leases"]' in lines[0]
    assert "\n" not in lines[0]
