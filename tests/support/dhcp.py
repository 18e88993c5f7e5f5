"""Real DHCP servers, dnsmasq and Kea, and a real client, dhclient, in namespaces of hosts with an `eth0`.

with dnsmasq(server, POOL, text, folder):    or kea(...): `text` is what `routes export` prints for the server
    with lease(client, folder):              an address of the pool, and the routes of option 121
        ...

The folder is one that the daemons can reach (open_folder).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.daemon import Daemon
from tests.support.links import must
from tests.support.namespace import Namespace

_HOOK = Path("/etc/dhcp/dhclient-exit-hooks.d/rfc3442-classless-routes")
"""Debian's part of the client that makes routes of the option."""


class Pool(NamedTuple):
    """The addresses that a server gives away."""

    subnet: str
    first: str
    last: str


@contextmanager
def dnsmasq(host: Namespace, pool: Pool, text: str, folder: Path) -> Iterator[None]:
    """dnsmasq with some lines more."""
    config = folder / "dnsmasq.conf"
    config.write_text(
        "port=0\nkeep-in-foreground\nlog-facility=-\nno-ping\ndhcp-authoritative\nbind-interfaces\ninterface=eth0\n"
        f"dhcp-range={pool.first},{pool.last},1h\ndhcp-leasefile={folder}/leases.dnsmasq\n{text}",
        encoding="utf-8",
    )
    with Daemon(host, ["dnsmasq", "-C", str(config), "--pid-file"], folder / "dnsmasq.log") as daemon:
        daemon.wait(lambda: "DHCP, IP range" in daemon.said())
        yield


@contextmanager
def kea(host: Namespace, pool: Pool, text: str, folder: Path) -> Iterator[None]:
    """Kea with some keys more in its subnet."""
    pools = [{"pool": f"{pool.first} - {pool.last}"}]
    subnet = {"subnet": pool.subnet, "id": 1, "pools": pools, "interface": "eth0", **json.loads(text)}
    config = {
        "interfaces-config": {"interfaces": ["eth0"]},
        "lease-database": {"type": "memfile", "persist": False},
        "subnet4": [subnet],
        "loggers": [{"name": "kea-dhcp4", "output_options": [{"output": "stdout"}], "severity": "INFO"}],
    }
    (folder / "kea.json").write_text(json.dumps({"Dhcp4": config}), encoding="utf-8")
    places = [f"KEA_{name}_DIR={folder}" for name in ("PIDFILE", "LOCKFILE")]
    with Daemon(host, ["env", *places, "kea-dhcp4", "-c", str(folder / "kea.json")], folder / "kea.log") as daemon:
        daemon.wait(lambda: "DHCP4_STARTED" in daemon.said())
        yield


@contextmanager
def lease(client: Namespace, folder: Path) -> Iterator[None]:
    """dhclient has a lease, which it gives back in the end.

    Its script is Debian's for routes; the rest of that would touch files of this host.
    """
    script = folder / "script"
    script.write_text(
        f"""#!/bin/sh
case $reason in
PREINIT) ip link set "$interface" up ;;
BOUND) ip address add "$new_ip_address/24" dev "$interface" ;;
RELEASE) ip -4 address flush dev "$interface" ;;
esac
. {_HOOK}
""",
        encoding="utf-8",
    )
    script.chmod(0o755)
    (folder / "dhclient.conf").write_text(
        "option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;\n"
        "request subnet-mask, routers, rfc3442-classless-static-routes;\n"
        "initial-interval 1; backoff-cutoff 1; timeout 20;\n",
        encoding="utf-8",
    )
    files = ["-cf", str(folder / "dhclient.conf"), "-lf", str(folder / "leases"), "-pf", str(folder / "dhclient.pid")]
    command = ["dhclient", "-v", "-sf", str(script), *files]
    try:
        must(client, *command, "-1", "eth0")
        yield
    finally:
        must(client, *command, "-r", "eth0")
