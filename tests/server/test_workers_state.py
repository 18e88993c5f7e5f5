"""Several workers: what the main process learns reaches every one, and what is shown or flushed is of all."""

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.faults import Refuse
from tests.apiserver.server import ApiServer, in_thread
from tests.server.test_lifecycle import serve
from tests.support.kubeconfigs import service
from tests.support.program import ROOT, Program, RunningUpstream, eventually
from tests.support.scripted_upstream import ScriptedUpstream, answer
from tests.support.started import run
from tests.support.workers import Crew
from tests.watch.test_state import api_server, readyz, settings

EXAMPLE = ROOT / "dnsbridge" / "example"
NAME = "web.shop.svc.cluster.local"
WEB, OF_COREDNS = "10.96.0.80", "10.96.0.99"
OPTIONS = ("--workers", "2")
LISTEN = ("127.0.0.1:0",)


@pytest.mark.parametrize("value", ["0", "257", "-1", "two", "1.5", ""])
def test_bad_numbers_of_workers(value: str) -> None:
    """One line, and exit code 2."""
    code, said = serve("--manifests", str(EXAMPLE), "--listen", "127.0.0.1:0", "--workers", value)
    assert (code, len(said)) == (2, 1)
    assert "--workers" in said[0]


def test_a_bad_number_in_the_file(tmp_path: Path) -> None:
    """One line that says where, and exit code 1."""
    code, said = serve(settings={"workers": 0}, folder=tmp_path)
    assert (code, len(said)) == (1, 1)
    assert "dnsbridge.yaml:2: workers: " in said[0]


def test_a_save_of_a_manifest_is_at_every_worker(tmp_path: Path) -> None:
    """A file that changes is in all answers; one that breaks leaves the last state with all of them."""
    # JSON: the longer a look takes, as one that reads YAML does, the later is the next.
    objects = [each for each in yaml.safe_load_all((EXAMPLE / "cluster.yaml").read_text(encoding="utf-8")) if each]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    manifest = tmp_path / "cluster.json"
    manifest.write_text(text, encoding="utf-8")
    with Program(tmp_path, listen=LISTEN, http=True, options=OPTIONS) as program, Crew(program).clients() as clients:
        for last in (35, 36, 37):
            manifest.write_text(text.replace("10.96.12.34", f"10.96.12.{last}"), encoding="utf-8")
            new = f"10.96.12.{last}"
            eventually(lambda new=new: {one.said(NAME) for one in clients.values()} == {new})  # type: ignore[misc]
        manifest.write_text("kind: [", encoding="utf-8")
        program.wait_for_log("the last good state stays in force")
        assert {one.said(NAME) for one in clients.values()} == {"10.96.12.37"}


def test_a_change_in_the_api_server_is_at_every_worker(tmp_path: Path) -> None:
    """Changes, deletions and their serial; silence and its end; a worker that is replaced has them all."""
    with api_server() as server:
        held = settings(server.kubeconfig(tmp_path / "kubeconfig"))
        with Program(settings=held, listen=LISTEN, http=True, options=OPTIONS) as program:
            program.wait_for_log("cluster dev: fresh")
            crew = Crew(program)
            with crew.clients(NAME) as clients:
                for number in range(20):
                    new = f"10.96.1.{number}"
                    server.change(put=[service("web", new)])
                    eventually(lambda new=new: {one.said(NAME) for one in clients.values()} == {new})  # type: ignore[misc]
                serials = {str(one.ask("cluster.local", "SOA").answer[0][0]) for one in clients.values()}
                assert len(serials) == 1
                server.change(delete=[service("web", "10.96.1.19")])
                eventually(lambda: {one.said(NAME) for one in clients.values()} == {"NXDOMAIN"})
                server.change(put=[service("web", WEB)])
                eventually(lambda: {one.said(NAME) for one in clients.values()} == {WEB})
                server.run(server.unlisten())
                eventually(lambda: {one.said(NAME) for one in clients.values()} == {f"{WEB} 3"})
                gone = min(crew.pids())
                subprocess.run(["kill", "-KILL", str(gone)], check=True)
                crew.until_replaced(gone)
                assert {one.said(NAME) for one in clients.values()} == {f"{WEB} 3"}
                server.run(server.listen())
                eventually(lambda: {one.said(NAME) for one in clients.values()} == {WEB})


def test_before_the_cluster_is_read(tmp_path: Path) -> None:
    """No worker denies a name; each asks CoreDNS as soon as its Service is known; then all answer by themselves."""
    with in_thread(ApiServer(tls=False)) as server:
        server.change(put=[service("web", WEB), coredns_service("127.77.0.1")])
        server.faults.add(Refuse(503), "endpointslices", times=None)
        held = settings(server.kubeconfig(tmp_path / "kubeconfig"), fallback="unsynced")
        with Program(settings=held, listen=LISTEN, http=True, options=OPTIONS) as program:
            crew = Crew(program)
            assert readyz(program) == (503, "cluster dev: not read yet\n")
            with crew.clients() as clients:
                # Nobody is on port 53 of the address that the Service has: asked, but not answered.
                eventually(lambda: {one.said(NAME).split()[0] for one in clients.values()} == {"SERVFAIL"})
                asked = 'dnsbridge_fallback_asked_total{cluster="dev"}'

                def both_ask() -> bool:
                    before = program.metrics()[asked]
                    assert {one.said(NAME).split()[0] for one in clients.values()} == {"SERVFAIL"}
                    return program.metrics()[asked] == before + 2

                eventually(both_ask)
                server.faults.clear()
                eventually(lambda: {one.said(NAME) for one in clients.values()} == {WEB})
            eventually(lambda: readyz(program) == (200, "ok\n"))


def coredns_service(address: str) -> dict[str, Any]:
    """The Service by which CoreDNS is found."""
    made = service("kube-dns", address)
    made["metadata"]["namespace"] = "kube-system"
    return made


def test_snapshots_are_the_holders(tmp_path: Path) -> None:
    """One file, written at the end; the next start answers from it with all workers, the API server being away."""
    state_dir = tmp_path / "state"
    with api_server() as server:
        held = settings(server.kubeconfig(tmp_path / "kubeconfig"), state_dir)
        held["clusters"][0]["max_staleness"] = "1h"
        with Program(settings=held, listen=LISTEN, http=True, options=OPTIONS) as program:
            program.wait_for_log("cluster dev: fresh")
        assert [path.name for path in state_dir.iterdir()] == ["dev.snapshot"]
        server.run(server.unlisten())
        with (
            Program(settings=held, listen=LISTEN, http=True, options=OPTIONS) as program,
            Crew(program).clients() as clients,
        ):
            assert {one.said(NAME) for one in clients.values()} == {WEB}


def test_a_resolv_conf_is_followed_by_all(tmp_path: Path) -> None:
    """Its change is at every worker; who is named there has no port but 53, so it is seen by who is asked no more."""
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.77.0.1\n", encoding="utf-8")
    with (
        Program(EXAMPLE, upstreams=[str(file)], listen=LISTEN, http=True, options=OPTIONS) as program,
        Crew(program).clients("www.example.com") as clients,
    ):
        sent = 'dnsbridge_upstream_sent_total{upstream="127.77.0.%d:53",zone="."}'
        eventually(lambda: program.metrics()[sent % 1] >= 2)
        file.write_text("nameserver 127.77.0.2\n", encoding="utf-8")
        program.wait_for_log(r"forward \.: now 127.77.0.2:53")

        def all_moved() -> bool:
            page = program.metrics()
            return sent % 1 not in page and page[sent % 2] >= 2

        def ask_all() -> bool:
            for number, one in clients.items():
                one.said(f"new-{number}-{len(program.metrics())}.example")
            return all_moved()

        eventually(ask_all)
        assert program.metrics()['dnsbridge_forward_changes_total{zone="."}'] == 1
        assert len([line for line in program.log() if "forward .: now" in line]) == 1


def test_upstreams_and_caches_of_all_workers() -> None:
    """What is shown is of all; a flush reaches every cache, and none gives an answer of before."""
    upstream = ScriptedUpstream(answer("@ 60 IN A 192.0.2.1"))
    with (
        RunningUpstream(upstream) as running,
        Program(EXAMPLE, upstreams=[running.address], listen=LISTEN, http=True, options=OPTIONS) as program,
        Crew(program).clients() as clients,
    ):
        for one in clients.values():
            assert one.said("www.example.com") == "192.0.2.1"
        assert running.count() == 2, "each worker has its own cache"
        address = program.wait_for_log(r"metrics on http://(\S+)/metrics")[1]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{address}/upstreams") as response:
            (state,) = json.load(response)
        assert (state["server"], state["condition"], state["questions"]) == (running.address, "up", 2)
        assert state["srtt_ms"] > 0

        def command(*words: str) -> str:
            done = run("cache", *words, "--http", address)
            assert not done.returncode, done.stderr
            return done.stdout

        held = json.loads(command("show", "www.example.com", "--output", "json"))
        assert sorted(one["worker"] for one in held) == [1, 2]
        assert "worker 1" in command("show", "www.example.com")
        assert command("flush", "www.example.com") == "2 answers forgotten\n"
        assert command("show", "www.example.com") == "www.example.com: nothing is held\n"
        for one in clients.values():
            assert one.said("www.example.com") == "192.0.2.1"
        assert running.count() == 4
        assert program.metrics()["dnsbridge_cache_entries"] == 2
