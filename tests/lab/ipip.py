"""`tunl0` on a member of a cluster whose nodes wrap what they send each other (IPIP), as Calico has it.

    with ipip(host, {"192.244.190.128/26": "10.73.13.1"}, log) as means:      `kernel` or `relay`

The device is the kernel's own where the kernel has one, else a tun device with a relay (see ipip_relay.py); the routes
are the same. What others send to this host wrapped comes out of the device too.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.links import MTU, must
from tests.support.namespace import Namespace

TUNNEL_MTU = MTU - 20
"""Octets that are left by the outer header."""
_DEVICE = "tunl0"
_RELAY = Path(__file__).with_name("ipip_relay.py")


@contextmanager
def ipip(host: Namespace, nodes: Mapping[str, str], log: Path) -> Iterator[str]:
    """The device, with a route by each prefix's node, and what it is."""

    def is_there() -> bool:
        return host.run("ip", "link", "show", _DEVICE).returncode == 0

    with ExitStack() as running:
        # The kernel's module makes a device of this name by itself, and then says that there is one.
        host.run("ip", "link", "add", _DEVICE, "type", "ipip")
        means = "kernel" if is_there() else "relay"
        if means == "relay":
            ways = [f"{prefix}={node}" for prefix, node in nodes.items()]
            command = [sys.executable, str(_RELAY), _DEVICE, *ways]
            running.enter_context(Daemon(host, command, log)).wait(is_there)
        must(host, "ip", "link", "set", _DEVICE, "mtu", str(TUNNEL_MTU), "up")
        for prefix, node in nodes.items():
            must(host, "ip", "route", "add", prefix, "via", node, "dev", _DEVICE, "onlink", "proto", "bird")
        yield means
