"""A network for one case of the field: an office machine with dnsbridge as its name server, and hosts on one switch.

    with Lab(folder, "case2", KAFKA, "10.73.13.200/24") as lab:
        node = lab.host("10.73.13.1/24")
        lab.pod(node, "192.244.190.130/32", "kafka-0", 9092)
        lab.serve()
        lab.fetched(NAME, 9092)      what curl gets on the machine
        lab.broken(NAME)             what the doctor finds there

All hosts but the machine forward packets. A pod is a namespace behind one of them (see pod.py).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.lab.ipip import ipip
from tests.lab.pod import pod
from tests.support.links import MTU, Switch, must
from tests.support.logged_process import LoggedProcess
from tests.support.namespace import Namespace
from tests.support.program import ROOT, Program
from tests.support.started import run

NOBODY = "127.0.0.9"
"""An upstream whose port is closed."""
_CLUSTERS = ROOT / "tests" / "routes" / "clusters"


class Lab:
    """The network; `with` makes and removes it. Needs root."""

    def __init__(self, folder: Path, case: str, more: str, machine: str) -> None:
        """`case` names the manifests of tests/routes/clusters, `more` are further objects as a YAML list; `machine` is
        the machine's address with its prefix length.
        """
        self._folder = folder
        self._address = machine
        self._stack = ExitStack()
        self._running = ExitStack()
        """Of dnsbridge alone."""
        self._pods: dict[str, ExitStack] = {}
        """By address."""
        self.switch = Switch()
        """What all hosts are joined to."""
        self.manifests = folder / "cluster"
        self.manifests.mkdir()
        self.source = ["--manifests", str(self.manifests)]
        """Where commands read the cluster."""
        self._save("case", (_CLUSTERS / f"{case}.yaml").read_text(encoding="utf-8"))
        self.change(more)

    def __enter__(self) -> "Lab":
        self._stack.enter_context(self.switch)
        self.machine = self.switch.host(self._address, resolv_conf="nameserver 127.0.0.1\n")
        self._stack.enter_context(self._running)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def change(self, more: str) -> None:
        """Other objects in place of those that came beside the case."""
        self._save("more", f"apiVersion: v1\nkind: List\nitems:{more}")

    def change_case(self, old: str, new: str) -> None:
        """A change in the objects of the case, where `old` is once."""
        before, found, after = (self.manifests / "case.yaml").read_text(encoding="utf-8").partition(old)
        assert found
        assert old not in after
        self._save("case", f"{before}{new}{after}")

    def objects(self) -> list[Any]:
        """All objects, as an API server has them."""
        case, more = ((self.manifests / f"{name}.yaml").read_text(encoding="utf-8") for name in ("case", "more"))
        return [*yaml.safe_load_all(case), *yaml.safe_load(more)["items"]]

    def _save(self, name: str, text: str) -> None:
        written = self._folder / name
        written.write_text(text, encoding="utf-8")
        written.replace(self.manifests / f"{name}.yaml")

    def host(self, *addresses: str) -> Namespace:
        """One more host on the switch, which forwards."""
        host = self.switch.host(*addresses)
        # No redirects: on this one switch a router would send hosts past itself. No limit of ICMP errors, since a test
        # asks the doctor more often than a person would.
        sysctls = [f"net.ipv4.conf.{device}.send_redirects=0" for device in ("all", "eth0")]
        must(host, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0", *sysctls)
        return host

    def pod(self, node: Namespace, address: str, name: str, port: int, parent: str = "", mtu: int = MTU) -> Namespace:
        """A pod, once it listens; `address` has a prefix length, and `parent` is for one on a link (see pod.py)."""
        log = self._folder / f"{name}.log"
        stack = self._stack.enter_context(ExitStack())
        self._pods[address.partition("/")[0]] = stack
        return stack.enter_context(pod(node, address, name, port, log, parent, mtu))

    def delete_pod(self, address: str) -> None:
        """The pod with this address ends."""
        self._pods.pop(address).close()

    def tunnel(self, host: Namespace, nodes: Mapping[str, str]) -> str:
        """`tunl0` on a host, with a route by each prefix's node; what it is made of (see ipip.py)."""
        return self._stack.enter_context(ipip(host, nodes, self._folder / f"{host.name}-ipip.log"))

    def serve(self, settings: Mapping[str, Any] | None = None, upstream: str = NOBODY) -> Program:
        """Start dnsbridge on the machine, also again after its death; with `settings` these name the clusters."""
        self._server = Program(
            None if settings else self.manifests,
            settings=settings,
            listen=["127.0.0.1:53"],
            command_prefix=self.machine.prefix,
            upstreams=[upstream],
        )
        return self._running.enter_context(self._server)

    def kill(self) -> None:
        """dnsbridge dies."""
        self._running.pop_all()
        self._server.kill()

    @contextmanager
    def companion(self, *options: str, host: Namespace | None = None) -> Iterator[None]:
        """`dnsbridge routes run` on the machine, or on another host."""
        words = ["routes", "run", *self.source, *options]
        process = LoggedProcess(words, (host or self.machine).prefix)
        try:
            yield
            process.stop()
        finally:
            process.kill()

    def routes(self, command: str, *options: str) -> str:
        """What `dnsbridge routes ...` prints on the machine."""
        words = ["routes", command, *(() if command == "withdraw" else self.source), *options]
        done = run(*words, prefix=self.machine.prefix)
        assert done.returncode in (0, 2 if command == "plan" else 0), done.stdout + done.stderr
        return done.stdout + done.stderr

    def tables(self) -> str:
        """All of the machine's tables of IPv4."""
        return must(self.machine, "ip", "-4", "route", "show", "table", "all")

    def resolved(self, name: str) -> str:
        """The first address that programs of the machine get."""
        return must(self.machine, "getent", "ahostsv4", name).split()[0]

    def fetched(self, name: str, port: int, *options: str) -> str:
        """What curl gets from a pod; empty where it gets nothing."""
        command = ["curl", "--silent", "--max-time", "3", *options]
        return self.machine.run(*command, f"http://{name}:{port}/").stdout

    def broken(self, name: str, *options: str) -> dict[str, str]:
        """The links that the doctor finds broken, with their causes."""
        return {link: each["cause"] for link, each in self.links(name, *options).items() if each["state"] == "failed"}

    def links(self, name: str, *options: str) -> dict[str, dict[str, str]]:
        """All that the doctor says of a name, by link."""
        words = ["doctor", name, *self.source, "--output", "json", *options]
        told = json.loads(run(*words, prefix=self.machine.prefix).stdout)
        return {each["link"]: each for each in told["links"]}
