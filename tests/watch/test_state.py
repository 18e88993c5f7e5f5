"""How old the answers are, and what is said about it: while the API server is away, after it, and over a restart."""

import asyncio
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from dnsbridge.app import read_once
from dnsbridge.app.answering.parts import build
from dnsbridge.app.answering.parts_once import parts_once
from dnsbridge.app.facts.lookup import Explanation, explain, question
from dnsbridge.app.snapshots import Keeper
from dnsbridge.cluster import snapshot
from dnsbridge.cluster.objects import Key
from dnsbridge.cluster.snapshot import Snapshot
from dnsbridge.config import Cluster, Flags, Forward, Loaded, Settings, Source, load
from dnsbridge.watch.api.source import ApiSource
from dnsbridge.wire.query import Query
from tests.apiserver.faults import Refuse
from tests.apiserver.server import ApiServer, in_thread
from tests.support.kubeconfigs import Fields, service
from tests.support.program import DEADLINE, Program, RunningUpstream, closed_port, eventually
from tests.support.scripted_upstream import ScriptedUpstream, answer, silence
from tests.support.waiting import until

WEB, OF_COREDNS = "10.96.0.80", "10.96.0.99"
NAME = "web.shop.svc.cluster.local"


@contextmanager
def api_server(*addresses: str) -> Iterator[ApiServer]:
    """An API server with services web, web-1, ... that shows at short intervals that it is alive."""
    with in_thread(ApiServer(tls=False)) as server:
        server.watches.bookmark_interval = 0.2
        for number, address in enumerate(addresses or (WEB,)):
            server.change(put=[service(f"web-{number}" if number else "web", address)])
        yield server


def settings(kubeconfig: Path, state_dir: Path | None = None, **more: object) -> Fields:
    """One cluster with short limits, whose CoreDNS is never asked unless a test says otherwise."""
    cluster: Fields = {
        "name": "dev",
        "source": {"kubeconfig": str(kubeconfig), "silence": "1s"},
        "fallback": "never",
        "max_staleness": "1500ms",
        **more,
    }
    return {"clusters": [cluster], **({"state_dir": str(state_dir)} if state_dir else {})}


def program_for(settings: Fields, http: bool = False) -> Program:
    """A program on one address."""
    return Program(settings=settings, http=http, listen=["127.0.0.1:0"])


def said(program: Program, name: str = NAME, *, edns: bool = True) -> str:
    """The answer in short: addresses or the RCODE, and the code of the extended error."""
    got = program.ask(name, edns=edns)
    words = [str(item) for rrset in got.answer for item in rrset] or [got.rcode().name]
    return " ".join([*words, *(str(int(option.code)) for option in got.extended_errors())])


def is_said(program: Program, name: str, expected: str) -> bool:
    """Whether a name has this answer now."""
    return said(program, name) == expected


def readyz(program: Program) -> tuple[int, str]:
    """Status and text of /readyz."""
    place = program.wait_for_log(r"metrics on (http://\S+)/metrics")[1]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{place}/readyz", timeout=DEADLINE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def gauge(program: Program, name: str) -> float | None:
    """A metric of the cluster."""
    return program.metrics().get(f'dnsbridge_cluster_{name}{{cluster="dev"}}')


def test_metrics_and_readyz(tmp_path: Path) -> None:
    """Whether the cluster was read, how old it is, how much of it is held: before, while and after it was read."""
    with api_server() as server:
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        server.faults.add(Refuse(503), "services", times=None)
        with program_for(settings(kubeconfig), http=True) as program:
            assert readyz(program) == (503, "cluster dev: not read yet\n")
            assert gauge(program, "synced") == 0
            assert gauge(program, "age_seconds") is None
            assert said(program) == "SERVFAIL 14"
            server.faults.clear()
            eventually(lambda: said(program) == WEB)
            assert readyz(program) == (200, "ok\n")
            eventually(lambda: gauge(program, "objects") == 5)  # four namespaces and the service
            assert gauge(program, "synced") == 1
            age = gauge(program, "age_seconds")
            assert age is not None
            assert age < 1.5
            server.change(put=[service("more", "10.96.0.81")])
            eventually(lambda: gauge(program, "objects") == 6)
            server.run(server.unlisten())
            program.wait_for_log("ERROR +cluster dev: no sign of life from its source for 1.5 s")
            assert gauge(program, "synced") == 0
            age = gauge(program, "age_seconds")
            assert age is not None
            assert age > 1.5
            assert gauge(program, "objects") == 6
            assert readyz(program) == (200, "ok\n")  # what is old is still an answer


def until_not(program: Program, *old: str) -> set[str]:
    """All answers up to and with the first that is none of these."""
    heard: set[str] = set()

    def is_new() -> bool:
        answered = said(program)
        heard.add(answered)
        return answered not in old

    eventually(is_new)
    return heard


def test_away_for_long(tmp_path: Path) -> None:
    """While the API server is away no answer is lost; past max_staleness it is CoreDNS's; back again, the cache's."""
    coredns = RunningUpstream(ScriptedUpstream(answer(f"@ 5 IN A {OF_COREDNS}")))
    with api_server() as server, coredns:
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        more: Fields = {"coredns": coredns.address, "fallback": "unsynced"}
        with program_for(settings(kubeconfig, **more)) as program:
            eventually(lambda: "cluster dev: fresh" in "\n".join(program.log()))
            assert said(program) == WEB
            before = coredns.count()
            server.run(server.unlisten())
            assert until_not(program, WEB) == {WEB, OF_COREDNS}
            assert any("no sign of life" in line for line in program.log())
            assert {said(program) for _ in range(20)} == {OF_COREDNS}
            assert coredns.count() > before
            server.run(server.listen())
            server.change(put=[service("web", "10.96.0.81")])
            # Until it is read again, the cache is as it was.
            assert until_not(program, OF_COREDNS, WEB) <= {OF_COREDNS, WEB, "10.96.0.81"}
            asked = coredns.count()
            assert {said(program) for _ in range(20)} == {"10.96.0.81"}
            assert coredns.count() == asked


def test_nobody_else_knows(tmp_path: Path) -> None:
    """With CoreDNS away as well, answers are stale, say so to who speaks EDNS, and come at once, not after its time."""
    ways = ("never", "closed", "silent")
    addresses = [f"10.96.1.{number}" for number in range(1, 40)]
    with (
        api_server(WEB, *addresses) as server,
        RunningUpstream(ScriptedUpstream(silence)) as silent,
        closed_port() as closed,
    ):
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        clusters = [
            {
                **settings(kubeconfig)["clusters"][0],
                "name": way,
                "zone": f"{way}.test",
                "precedence": number,
                "coredns": silent.address if way == "silent" else f"127.0.0.1:{closed.getsockname()[1]}",
                "fallback": "never" if way == "never" else "unsynced",
            }
            for number, way in enumerate(ways)
        ]
        with program_for({"clusters": clusters}) as program:
            for way in ways:
                eventually(partial(is_said, program, f"web.shop.svc.{way}.test", WEB))
            server.run(server.unlisten())
            for way in ways:
                program.wait_for_log(f"cluster {way}: no sign of life")
            for way in ways:
                zone = f"shop.svc.{way}.test"
                assert said(program, f"web.{zone}") == f"{WEB} 3", way
                assert said(program, f"web.{zone}", edns=False) == WEB
                assert said(program, f"no-such.{zone}") == "NXDOMAIN 3"
                asked = silent.count()
                for number, address in enumerate(addresses, 1):
                    assert said(program, f"web-{number}.{zone}") == f"{address} 3"
                # Only probes go to a CoreDNS that is known to be silent.
                assert silent.count() - asked < len(addresses) / 2, way
            server.run(server.listen())
            for way in ways:
                eventually(partial(is_said, program, f"web.shop.svc.{way}.test", WEB))
                assert said(program, f"no-such.shop.svc.{way}.test") == "NXDOMAIN"


def snapshot_of(state_dir: Path) -> Path:
    """Where the snapshot is."""
    return state_dir / "dev.snapshot"


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[tuple[ApiServer, Fields, Path]]:
    """An API server, settings, and the state folder that a program has left when it was stopped."""
    state_dir = tmp_path / "state"
    with api_server(WEB, "10.96.0.81") as server:
        held = settings(server.kubeconfig(tmp_path / "kubeconfig"), state_dir)
        with program_for(held) as program:
            eventually(lambda: said(program) == WEB)
        yield server, held, state_dir


def test_restart_while_away(stopped: tuple[ApiServer, Fields, Path]) -> None:
    """A program that is started while the API server is away answers at once, and catches up when it is back."""
    server, held, state_dir = stopped
    assert [path.name for path in state_dir.iterdir()] == ["dev.snapshot"]
    assert snapshot_of(state_dir).stat().st_mode & 0o777 == 0o600
    server.run(server.unlisten())
    held["clusters"][0]["max_staleness"] = "1h"
    with program_for(held, http=True) as program:
        assert said(program) == WEB
        assert said(program, "no-such.shop.svc.cluster.local") == "NXDOMAIN"
        assert readyz(program) == (200, "ok\n")
        age = gauge(program, "age_seconds")
        assert age is not None
        assert 0 < age < 60
        before = snapshot_of(state_dir).read_bytes()
    assert snapshot_of(state_dir).read_bytes() == before, "what was never read again is not written as new"
    held["clusters"][0]["max_staleness"] = "100ms"
    with program_for(held) as program:
        assert said(program) == f"{WEB} 3"
        assert said(program, "no-such.shop.svc.cluster.local") == "NXDOMAIN 3"
        server.change(put=[service("new", "10.96.0.82")], delete=[service("web-1")])
        server.watches.bookmark_interval = 0.02
        server.run(server.listen())
        eventually(lambda: said(program, "new.shop.svc.cluster.local").startswith("10.96.0.82"))
        eventually(lambda: said(program, "web-1.shop.svc.cluster.local").startswith("NXDOMAIN"))
        # No longer stale, so everything that is required has been listed, and is written when the program ends.
        eventually(lambda: said(program) == WEB)
    found = snapshot.read(snapshot_of(state_dir).read_bytes())
    assert isinstance(found, Snapshot)
    assert {obj.name for obj in found.objects if obj.kind == "Service"} == {"web", "new"}


def test_a_command_while_away(stopped: tuple[ApiServer, Fields, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is no server waits for the API server, and then takes what a server has kept for a restart."""
    server, fields, folder = stopped
    server.run(server.unlisten())
    monkeypatch.setattr(read_once, "PATIENCE", 0.1)
    file = folder / "dnsbridge.yaml"
    file.write_bytes(msgspec.json.encode(fields))
    loaded = load(file, Flags())
    assert isinstance(loaded, Loaded)
    query = question(NAME, "A")
    assert isinstance(query, Query)

    async def ask() -> Explanation:
        async with parts_once(loaded) as parts:
            return await explain(parts, query)

    assert [record.data for record in asyncio.run(ask()).records] == [WEB]


def test_snapshot_of_another_life(tmp_path: Path) -> None:
    """A cluster that was restored or made anew has lower versions, and is believed all the same."""
    state_dir = tmp_path / "state"
    with api_server() as server:
        for _ in range(50):
            server.change(put=[service("web", WEB)])
        held = settings(server.kubeconfig(tmp_path / "kubeconfig"), state_dir)
        with program_for(held) as program:
            eventually(lambda: said(program) == WEB)
    with api_server("10.96.0.81") as server:
        held = settings(server.kubeconfig(tmp_path / "kubeconfig"), state_dir)
        with program_for(held) as program:
            eventually(lambda: said(program) == "10.96.0.81")


def damage(edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change what is in the file."""

    def damaged(path: Path) -> None:
        path.write_bytes(edit(path.read_bytes()))

    return damaged


def be_a_folder(path: Path) -> None:
    """There is a folder in its place."""
    path.unlink()
    path.mkdir()


def be_a_circle(path: Path) -> None:
    """Reading it is an error of the system, also for root."""
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (damage(lambda octets: octets[:-7]), "checksum"),
        (damage(lambda octets: octets[:200] + b"!" + octets[201:]), "checksum"),
        (damage(lambda octets: b""), "not a snapshot of this version"),
        (damage(lambda octets: octets.replace(b"snapshot 3", b"snapshot 9")), "not a snapshot of this version"),
        (be_a_folder, "is a directory"),
        (be_a_circle, "too many levels of symbolic links"),
    ],
)
def test_snapshot_that_cannot_be_used(
    stopped: tuple[ApiServer, Fields, Path], break_it: Callable[[Path], None], problem: str
) -> None:
    """It is one warning and nothing of it is answered; the API server is asked for everything."""
    server, held, state_dir = stopped
    path = snapshot_of(state_dir)
    shutil.copy(path, state_dir / "dev.new")  # what a write has left that did not come to its end
    break_it(path)
    server.run(server.unlisten())
    with program_for(held) as program:
        assert said(program) == "SERVFAIL 14"
        server.run(server.listen())
        eventually(lambda: said(program) == WEB)
        warned = [line for line in program.log() if str(path) in line]
        assert len(warned) == 1
        assert "WARNING" in warned[0]
        assert problem in warned[0]


def test_state_dir_that_cannot_be_written(tmp_path: Path) -> None:
    """It is one warning when the snapshot would have been written, and answers come."""
    (tmp_path / "state").write_text("a file")
    with api_server() as server:
        held = settings(server.kubeconfig(tmp_path / "kubeconfig"), tmp_path / "state")
        with program_for(held) as program:
            eventually(lambda: said(program) == WEB)
        warned = [line for line in program.log() if str(tmp_path / "state") in line and " INFO " not in line]
        assert warned
        assert len(warned) <= 2, "one for reading, one for writing"


def test_written_at_intervals(tmp_path: Path) -> None:
    """A snapshot is written while the cluster is followed, not only at the end, and never seen half written."""
    path = tmp_path / "state" / "dev.snapshot"

    async def test() -> None:
        async with ApiServer(tls=False) as server:
            server.change(put=[service("web", WEB)])
            source = Source(kubeconfig=server.kubeconfig(tmp_path / "kubeconfig"))
            cluster = Cluster(name="dev", source=source, fallback="never")
            parts = build(Settings(clusters=(cluster,), forward=(Forward(),)), ())
            await parts.open()
            api = parts.feeds[0].source
            assert isinstance(api, ApiSource)
            keeper = Keeper(parts.feeds[0], api, path.parent, interval=0.02)
            tasks = [asyncio.create_task(api.follow()), asyncio.create_task(keeper.keep())]
            try:
                await until(path.exists)
                for number in range(5):
                    server.change(put=[service(f"more-{number}", "10.96.0.81")])
                    wanted = Key("Service", "shop", f"more-{number}")
                    await until(partial(holds, path, wanted))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await parts.close()

    asyncio.run(test())


def holds(path: Path, key: Key) -> bool:
    """Whether a snapshot has an object; it must be whole whenever it is looked at."""
    found = snapshot.read(path.read_bytes())
    assert isinstance(found, Snapshot)
    return key in {obj.key for obj in found.objects}
