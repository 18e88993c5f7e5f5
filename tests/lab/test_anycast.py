"""Two dnsbridges share an address over BGP, and one goes: a machine that knows only this address asks all the time.

machine 10.50.0.2 ---- router 10.50.0.1 / 10.200.20.254 (AS 65200) ---+--- 10.200.20.11 and 10.200.20.12 (AS 64513),
  nameserver             BIRD                                         |      each with dnsbridge at 10.53.53.53:53
  10.53.53.53                                                         +--- node 10.200.20.105 (web-0, 10.233.98.3)

BIRD of each server has the configuration of deploy/anycast, and is told by the script there.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.lab.client import Client
from tests.lab.lab import NOBODY, Lab
from tests.lab.objects import headless, namespace
from tests.support.bird import Bird
from tests.support.daemon import Daemon
from tests.support.links import must
from tests.support.logged_process import LoggedProcess
from tests.support.namespace import Namespace
from tests.support.program import ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns", "bird", "birdc", "curl")
MACHINE, ANYCAST, SERVERS = "10.50.0.2", "10.53.53.53", ("10.200.20.11", "10.200.20.12")
ROUTER, NODE, POD, PORT = "10.200.20.254", "10.200.20.105", "10.233.98.3", 8080
NAME = "web-0.pods.shop.svc.cluster.local"
PODS = namespace("shop") + headless("pods", "shop", PORT, {"web-0": POD})
FILES = ROOT / "deploy" / "anycast"
ROUTER_CONFIG = f"router id {ROUTER};\nprotocol bfd {{}}\n" + "".join(
    f"""protocol bgp server{number} {{
  local {ROUTER} as 65200;
  neighbor {server} as 64513;
  bfd;
  ipv4 {{ import all; export none; }};
}}
"""
    for number, server in enumerate(SERVERS)
)


class Server:
    """A host with dnsbridge, BIRD, and the script that tells BIRD whether dnsbridge is ready."""

    def __init__(self, lab: Lab, address: str, folder: Path, running: ExitStack) -> None:
        self.host = lab.host(f"{address}/24")
        must(self.host, "ip", "address", "add", f"{ANYCAST}/32", "dev", "lo")
        must(self.host, "ip", "route", "add", "default", "via", ROUTER)
        words = ["serve", *lab.source, "--listen", f"{ANYCAST}:53", "--upstream", NOBODY]
        self.dnsbridge = LoggedProcess(words, self.host.prefix)
        running.callback(self.dnsbridge.kill)
        self.dnsbridge.wait_for_log(r" ready$")
        config = (FILES / "anycast.conf").read_text(encoding="utf-8")
        config = config.replace("10.0.0.8", address).replace("10.0.0.1", ROUTER)
        bird = running.enter_context(Bird(self.host, config))
        command = ["env", f"BIRDC=birdc -s {bird.socket}", str(FILES / "anycast.sh")]
        self.script = running.enter_context(Daemon(self.host, command, folder / f"{address}.log"))


@contextmanager
def two_servers(folder: Path) -> Iterator[tuple[Lab, Namespace, dict[str, Server]]]:
    """The lab once the router has two ways to the address, that router, and the servers by their own addresses."""
    with Lab(folder, "case1", PODS, f"{MACHINE}/24") as lab, ExitStack() as running:
        lab.machine.configure(f"nameserver {ANYCAST}\noptions timeout:1 attempts:3\n")
        router, node = lab.host("10.50.0.1/24", f"{ROUTER}/24"), lab.host(f"{NODE}/24")
        must(lab.machine, "ip", "route", "add", "default", "via", "10.50.0.1")
        must(node, "ip", "route", "add", "default", "via", ROUTER)
        must(router, "ip", "route", "add", POD, "via", NODE)
        lab.pod(node, f"{POD}/32", "web-0", PORT)
        running.enter_context(Bird(router, ROUTER_CONFIG))
        servers = {address: Server(lab, address, folder, running) for address in SERVERS}
        eventually(lambda: all(f"via {address} " in ways(router) for address in SERVERS), lambda: ways(router))
        yield lab, router, servers


def ways(router: Namespace) -> str:
    """How the router gets to the address."""
    return must(router, "ip", "route", "show", ANYCAST)


def used(router: Namespace) -> str:
    """The server that answers the machine: the router sends all between two addresses the same way."""
    return must(router, "ip", "route", "get", ANYCAST, "from", MACHINE, "iif", "eth0").split("via ")[1].split()[0]


def is_stopped(server: Server) -> None:
    """Both services are stopped, the one that announces first."""
    server.script.stop()
    server.dnsbridge.stop()


def crashes(server: Server) -> None:
    """The process dies."""
    server.dnsbridge.kill()


def hangs(server: Server) -> None:
    """The process is there, and does nothing."""
    os.kill(server.dnsbridge.pid, signal.SIGSTOP)


def loses_its_host(server: Server) -> None:
    """The whole host is gone."""
    must(server.host, "ip", "link", "set", "eth0", "down")


@pytest.mark.parametrize("goes", [is_stopped, crashes, hangs, loses_its_host])
def test_one_of_two_goes(goes: Callable[[Server], None], tmp_path: Path) -> None:
    """The one that the machine uses: the router soon has the other alone, and meanwhile nobody says "no such name"."""
    with two_servers(tmp_path) as (lab, router, servers):
        with Client(lab, NAME, PORT, tmp_path) as client:
            client.until("web-0")
            gone = used(router)
            goes(servers[gone])
            eventually(lambda: f"via {gone} " not in ways(router))
            assert used(router) in servers.keys() - {gone}
            client.once_more()
            client.until("web-0")
            assert client.addresses() == [POD]
            assert client.no_name() <= {"Temporary failure in name resolution"}
        client.show(f"one of two dnsbridges {goes.__name__.replace('_', ' ')}")
