"""The lab of case 2 for a person to play in: `make lab`, and in another terminal the commands that it prints.

Ctrl-C takes the lab down; after a kill -9 `make lab-down` does. Needs root.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab import case2
from tests.support.namespace import FILES, PREFIX

PROGRAM = Path(sys.executable).with_name("dnsbridge")


def up() -> None:
    """Build it, say what to try, and wait for a signal."""
    if os.geteuid():
        sys.exit("make lab: network namespaces need root; say sudo make lab")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="dnsbridge-lab-") as folder, case2.case2(Path(folder)) as (lab, gateway):
        on = f"ip netns exec {lab.machine.name}"
        told = f"--manifests {lab.manifests}"
        picture = (case2.__doc__ or "").partition("\n\n")[2].rstrip()
        print(picture)
        print(
            f"""
On the machine ({on} ...), with {told}:

  1  {on} getent ahosts {case2.NAME}
     the name resolves
  2  {on} curl --max-time 3 http://{case2.NAME}:{case2.PORT}/
     and nothing comes: there is no route
  3  {on} {PROGRAM} doctor {case2.NAME} {told}
     which is what the doctor says
  4  {on} {PROGRAM} routes apply {told} --via gateways
     sets the routes through the gateway: try 2 and 3 again
  5  ip netns exec {gateway.name} ip route del 192.244.190.128/26
     breaks the gateway: ask the doctor

Ctrl-C takes all of it down.""",
            flush=True,
        )
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("taking it down")


def down() -> None:
    """Remove what labs and tests that were killed have left: namespaces of processes that are no more."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    for name in [line.split()[0] for line in listed.splitlines() if line.startswith(PREFIX)]:
        pid = name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and Path(f"/proc/{pid}").exists():
            print(f"{name}: left, process {pid} has it")
            continue
        inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout
        for each in map(int, inside.split()):
            os.kill(each, signal.SIGTERM)
        subprocess.run(["ip", "netns", "del", name], check=True)
        shutil.rmtree(FILES / name, ignore_errors=True)
        print(f"{name}: removed")


if __name__ == "__main__":
    commands = {"up": up, "down": down}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit("usage: python -m tools.lab up|down")
    commands[sys.argv[1]]()
