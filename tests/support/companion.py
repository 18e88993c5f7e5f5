"""`dnsbridge routes run` in a network namespace, the kernel's table there, and nodes for its clusters.

Companion     the process; `with` starts it, and ends it with SIGTERM
table         the routes of our protocol number, by prefix
node          a node with a prefix of pods
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.logged_process import LoggedProcess
from tests.support.namespace import Namespace
from tests.support.started import PYTHON_M

PROTOCOL = 83
OWN_ADDRESS = "10.0.0.1"
"""Of the host; nodes are 10.0.0.10 and up."""


@contextlib.contextmanager
def host() -> Iterator[Namespace]:
    """A host on the nodes' network."""
    with Namespace("nameserver 127.0.0.1\n") as namespace:
        for line in (
            "link add lan type veth peer name far",
            "link set lan up",
            "link set far up",
            f"addr add {OWN_ADDRESS}/24 dev lan",
        ):
            ip(namespace, line)
        yield namespace


def ip(namespace: Namespace, line: str) -> str:
    """What `ip` says; it must not fail."""
    done = namespace.run("ip", *line.split())
    assert not done.returncode, f"ip {line}: {done.stderr}"
    return done.stdout


def table(namespace: Namespace) -> dict[str, str]:
    """Our routes: next hops by prefix, joined by commas."""
    found = json.loads(ip(namespace, f"-json route show proto {PROTOCOL}") or "[]")
    return {
        route["dst"]: ",".join(sorted(hop["gateway"] for hop in route.get("nexthops", [route]) if "gateway" in hop))
        for route in found
    }


def node(number: int, ready: bool = True, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Node `n3` at 10.0.0.13 with the pods 10.244.3.0/24."""
    cidr = f"10.244.{number}.0/24"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"n{number}", "labels": dict(labels or {})},
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": f"10.0.0.{10 + number}"}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


class Companion:
    """A process of `dnsbridge routes COMMAND`; `settings` go to a configuration file in `folder`."""

    module = "dnsbridge"

    def __init__(
        self,
        namespace: Namespace,
        folder: Path,
        settings: Mapping[str, Any],
        options: Sequence[str] = (),
        command: str = "run",
    ) -> None:
        file = folder / f"companion-{os.urandom(3).hex()}.yaml"
        file.write_text(json.dumps(settings), encoding="utf-8")
        self._namespace = namespace
        self._prefix = namespace.prefix
        self._command = ["routes", command, "--config", str(file), *options]
        self._process: LoggedProcess | None = None

    def __enter__(self) -> "Companion":
        self._process = LoggedProcess(self._command, self._prefix, module=self.module)
        try:
            self.wait_for_log(r" ready$")
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process
        if kind or self._process.ended:
            self.kill()
            sys.stderr.write(f"{self.text}\n")  # for whoever reads why the test failed
            return
        self.stop()

    def command(self, command: str, *options: str) -> list[str]:
        """Another `dnsbridge routes` command with the same configuration."""
        return [*PYTHON_M, "routes", command, *self._command[2:], *options]

    def stop(self) -> None:
        """End it with SIGTERM; it must end well."""
        assert self._process
        self._process.stop()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        assert self._process
        self._process.kill()

    @property
    def text(self) -> str:
        """The log."""
        assert self._process
        return self._process.text

    @property
    def lines(self) -> list[str]:
        """The lines of the log."""
        assert self._process
        return self._process.lines

    @property
    def http(self) -> str:
        """Where it shows its metrics, `http://ADDR:PORT` (needs the setting `routes.http`)."""
        return self.wait_for_log(r"metrics on (http://\S+)/metrics")[1]

    def page(self, path: str) -> str:
        """What it shows over HTTP, whatever the status is."""
        done = self._namespace.run("curl", "-sS", "--noproxy", "*", self.http + path)
        assert not done.returncode, done.stderr
        return done.stdout

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels as written, `dnsbridge_routes_wanted{sink="kernel"}`."""
        lines = [line for line in self.page("/metrics").splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def wait_for_log(self, pattern: str, after: int = 0) -> re.Match[str]:
        """The first line from number `after` on that matches, when it comes."""
        assert self._process
        return self._process.wait_for_log(pattern, after)
