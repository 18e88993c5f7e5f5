"""A lab for a person to play in: `make lab CASE=2`, and in another terminal the commands that it prints.

Ctrl-C takes the lab down; after a kill -9 `make lab-down` does. Needs root.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import case1, case2
from tests.support.namespace import FILES, PREFIX, Namespace

PROGRAM = Path(sys.executable).with_name("dnsbridge")
_FOLDER = "dnsbridge-lab-"
Step = tuple[Namespace, str, str]
"""Where to run it, the command, and what comes of it."""


def up(case: str) -> None:
    """Build it, say what to try, and wait for a signal."""
    if case not in _CASES:
        sys.exit(f"make lab: there is no lab of case {case}; CASE={' or CASE='.join(_CASES)}")
    if os.geteuid():
        sys.exit("make lab: network namespaces need root; say sudo make lab")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"building case {case} ...", flush=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as folder,
            _CASES[case](Path(folder)) as (picture, steps),
        ):
            print((picture or "").partition("\n\n")[2].rstrip() + "\n")
            for number, (host, command, what) in enumerate(steps, 1):
                print(f"  {number}  ip netns exec {host.name} {command}\n     {what}")
            print("\nCtrl-C takes all of it down.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("taken down")


@contextmanager
def _case1(folder: Path) -> Iterator[tuple[str | None, list[Step]]]:
    with case1.case1(folder, services=False) as (lab, router, _):
        machine, manifests = lab.machine, f"--manifests {lab.manifests}"
        yield (
            case1.__doc__,
            [
                (machine, f"getent ahosts {case1.SERVICE}", "the name of the service resolves"),
                (
                    machine,
                    f"curl http://{case1.POD}:{case1.PORT}/",
                    "a pod answers: the router learned the way over BGP",
                ),
                (machine, f"curl --max-time 3 http://{case1.SERVICE}:{case1.PORT}/", "the service does not"),
                (machine, f"{PROGRAM} doctor {case1.SERVICE} {manifests}", "and the doctor says why"),
                (
                    router,
                    f"ip route add {case1.SERVICES} via {case1.NODE}",
                    "what the announcement would do: try 3 and 4 again",
                ),
            ],
        )


@contextmanager
def _case2(folder: Path) -> Iterator[tuple[str | None, list[Step]]]:
    with case2.case2(folder) as (lab, gateway):
        machine, manifests = lab.machine, f"--manifests {lab.manifests}"
        yield (
            case2.__doc__,
            [
                (machine, f"getent ahosts {case2.NAME}", "the name resolves"),
                (machine, f"curl --max-time 3 http://{case2.NAME}:{case2.PORT}/", "nothing comes: there is no route"),
                (machine, f"{PROGRAM} doctor {case2.NAME} {manifests}", "which is what the doctor says"),
                (
                    machine,
                    f"{PROGRAM} routes apply {manifests} --via gateways",
                    "sets the routes through the gateway: try 2 and 3 again",
                ),
                (gateway, "ip route del 192.244.190.128/26", "breaks the gateway: ask the doctor"),
            ],
        )


_CASES = {"1": _case1, "2": _case2}


def down() -> None:
    """Remove what labs and tests that were killed have left: namespaces and folders of processes that are no more."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    for name in [line.split()[0] for line in listed.splitlines() if line.startswith(PREFIX)]:
        if _has_owner(name, PREFIX):
            continue
        inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout
        for each in map(int, inside.split()):
            os.kill(each, signal.SIGTERM)
        subprocess.run(["ip", "netns", "del", name], check=True)
        shutil.rmtree(FILES / name, ignore_errors=True)
        print(f"{name}: removed")
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        if not _has_owner(left.name, _FOLDER):
            shutil.rmtree(left, ignore_errors=True)
            print(f"{left}: removed")


def _has_owner(name: str, prefix: str) -> bool:
    """Whether the process whose number follows the prefix still runs."""
    pid = name.removeprefix(prefix).partition("-")[0]
    if runs := pid.isdigit() and Path(f"/proc/{pid}").exists():
        print(f"{name}: left, process {pid} has it")
    return runs


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up", number]:
            up(number)
        case ["down"]:
            down()
        case _:
            sys.exit("usage: python -m tools.lab up CASE, or down")
