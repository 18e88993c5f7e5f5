"""The line from a host to its switch becomes bad for a while: by the kernel's netem, else by a relay (see relay).

with bad_line(switch, host, folder) as means: ...
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.links import Switch, must
from tests.support.namespace import Namespace

DELAY, LOSS = 0.1, 0.05
"""Seconds, and a share of all packets, each way."""
_RELAY = Path(__file__).with_name("relay.py")
_SEED = 1


@contextmanager
def bad_line(switch: Switch, host: Namespace, folder: Path) -> Iterator[str]:
    """What is in the way meanwhile."""
    ends = (host, "eth0"), (switch.bridge, switch.ports[host.name])
    netem = f"root netem delay {DELAY * 1000:g}ms loss {LOSS * 100:g}%"
    if host.run("tc", "qdisc", "add", "dev", "eth0", *netem.split()).returncode:
        with _relay(switch, host, folder):
            yield "relay"
        return
    must(switch.bridge, "tc", "qdisc", "add", "dev", ends[1][1], *netem.split())
    yield "netem"
    for where, device in ends:
        must(where, "tc", "qdisc", "del", "dev", device, "root")


@contextmanager
def _relay(switch: Switch, host: Namespace, folder: Path) -> Iterator[None]:
    """The host's port is on a bridge of its own, from which a relay leads to the switch."""
    port = switch.ports[host.name]
    must(switch.bridge, "ip", "link", "add", "bad", "type", "bridge")
    must(switch.bridge, "ip", "link", "set", "bad", "up")
    command = [sys.executable, str(_RELAY), "near", "far", str(DELAY), str(LOSS), str(_SEED)]
    with Daemon(switch.bridge, command, folder / "relay.log") as relay:
        relay.wait(lambda: " far: " in must(switch.bridge, "ip", "link", "show"))
        must(switch.bridge, "ip", "link", "set", "near", "master", "bad", "up")
        must(switch.bridge, "ip", "link", "set", "far", "master", "br0", "up")
        must(switch.bridge, "ip", "link", "set", port, "master", "bad")
        yield
        must(switch.bridge, "ip", "link", "set", port, "master", "br0")
        relay.check()
    must(switch.bridge, "ip", "link", "del", "bad")
