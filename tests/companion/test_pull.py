"""A host without credentials of the cluster: it pulls from a dnsbridge that follows the API server."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.server import ApiServer, in_thread
from tests.companion.test_run import SERVICE_CIDR, THREE, pods
from tests.support.certificates import Authority
from tests.support.companion import Companion, ip, node
from tests.support.namespace import Namespace
from tests.support.program import Program, eventually
from tests.support.started import run

pytestmark = pytest.mark.needs("netns")


@pytest.fixture
def api(place: Namespace) -> Iterator[ApiServer]:
    """The cluster's API server, on the host's loopback: three nodes."""
    with in_thread(ApiServer(tls=False), place.enter) as server:
        server.change(put=[SERVICE_CIDR, *(node(number) for number in (1, 2, 3))])
        yield server


class Served:
    """A dnsbridge that serves routes with a token over TLS."""

    def __init__(self, place: Namespace, api: ApiServer, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.ca = self.authority.write(folder / "ca.pem")
        self.token = folder / "token"
        self.token.write_text("a-secret-of-some-length\n", encoding="utf-8")
        certificate, key = self.authority.write_server(folder, "127.0.0.1")
        source = {"kubeconfig": str(api.kubeconfig(folder / "server-kubeconfig"))}
        serve = {"token_file": str(self.token), "certificate": str(certificate), "key": str(key)}
        self.settings = {"clusters": [{"name": "dev", "source": source}], "routes": {"serve": serve}}
        self.prefix = place.prefix

    @contextmanager
    def running(self, port: int = 0) -> Iterator[str]:
        """Its URL, while it runs."""
        listen = ["127.0.0.1:0"]
        options = ["--http", f"127.0.0.1:{port}"]
        program = Program(settings=self.settings, listen=listen, options=options, command_prefix=self.prefix)
        with program:
            yield program.wait_for_log(r"metrics on (https://\S+)/metrics")[1]

    def pulling(self, url: str, **more: Any) -> dict[str, Any]:
        """Settings of a host that pulls."""
        pull = {"url": url, "token_file": str(self.token), "ca": str(self.ca), **more}
        return {"routes": {"sinks": ["kernel"], "via": "nodes", "pull": pull}, "state_dir": str(self.folder / "state")}


def test_a_host_that_only_pulls(place: Namespace, api: ApiServer, tmp_path: Path) -> None:
    """It follows a change; the server may go, and this host start anew, and the last good set stays."""
    served = Served(place, api, tmp_path)
    with served.running() as url:
        with Companion(place, tmp_path, served.pulling(url)) as companion:
            eventually(lambda: pods(place) == THREE)
            for number in (4, 5):
                api.change(put=[node(number)])
                eventually(lambda: str(number) in pods(place))  # noqa: B023  called at once
                api.change(delete=[node(number)])
                eventually(lambda: str(number) not in pods(place))  # noqa: B023
        stopped = Companion(place, tmp_path, served.pulling(url))
    with stopped as companion:
        companion.wait_for_log(r"routes of an earlier run")
        companion.wait_for_log(r"its port is closed.*; the last good routes stay")
        place.run("ip", "route", "del", "10.244.2.0/24")
        eventually(lambda: pods(place) == THREE)
        api.change(delete=[node(3)])
        with served.running(int(url.rpartition(":")[2])):
            eventually(lambda: pods(place) == {"1": "10.0.0.11", "2": "10.0.0.12"})


_GET = """
import json, sys, urllib.request
from tests.support.started import run
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(json.dumps(json.load(opener.open(sys.argv[1] + "/routes"))["routes"]))
"""


def test_routes_for_other_programs(place: Namespace, api: ApiServer, tmp_path: Path) -> None:
    """The document holds the routes of a place that reaches all nodes, whatever the server's own links are."""
    ip(place, "addr flush dev lan")
    source = {"kubeconfig": str(api.kubeconfig(tmp_path / "kubeconfig"))}
    settings = {"clusters": [{"name": "dev", "source": source}]}
    options = ["--http", "127.0.0.1:0"]
    with Program(settings=settings, listen=["127.0.0.1:0"], options=options, command_prefix=place.prefix) as program:
        url = program.wait_for_log(r"metrics on (http://\S+)/metrics")[1]

        def routes() -> dict[str, list[str]]:
            found = json.loads(place.run(sys.executable, "-c", _GET, url).stdout)
            return {route["prefix"]: [hop["address"] for hop in route["next_hops"]] for route in found}

        nodes = {f"10.244.{number}.0/24": [hop] for number, hop in THREE.items()}
        eventually(lambda: routes() == {**nodes, "10.96.0.0/16": list(THREE.values())})


def test_each_failure_is_one_line(place: Namespace, api: ApiServer, tmp_path: Path) -> None:
    """A wrong token, another authority, garbage and a closed port: exit status 1, one line, nothing changed."""
    served = Served(place, api, tmp_path)
    wrong = tmp_path / "wrong-token"
    wrong.write_text("another", encoding="utf-8")
    other = Authority().write(tmp_path / "other.pem")
    with served.running() as url:
        cases = [
            (served.pulling(url, token_file=str(wrong)), "the token is not the one that it asks for"),
            (served.pulling(url, ca=str(other)), "its certificate is of no authority that is trusted"),
            (served.pulling(url, token_file=str(tmp_path / "none")), "no such file"),
            (served.pulling(f"{url}/metrics"), "is this a dnsbridge?"),
            (served.pulling(url.replace("https", "http")), "see whether the server runs"),
            (served.pulling("https://127.0.0.1:1"), "its port is closed"),
            (served.pulling("ftp://127.0.0.1"), "not the HTTP address of a dnsbridge"),
        ]
        for number, (settings, expected) in enumerate(cases):
            file = tmp_path / f"case-{number}.yaml"
            file.write_text(json.dumps({**settings, "state_dir": None}), encoding="utf-8")
            done = run("routes", "plan", "--config", str(file), prefix=place.prefix)
            lines = done.stderr.splitlines()
            assert (done.returncode, len(lines)) == (1, 1), done.stderr
            assert expected in lines[0]
        file = tmp_path / "good.yaml"
        file.write_text(json.dumps(served.pulling(url)), encoding="utf-8")
        done = run("routes", "apply", "--config", str(file), prefix=place.prefix)
        assert done.returncode == 0, done.stderr
        assert pods(place) == THREE
