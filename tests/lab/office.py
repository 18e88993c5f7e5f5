"""Case 8 of the field: an office DNS server, which the machine asks, in front of a dnsbridge on a host of its own.

machine 172.25.254.99 --+-- office DNS server 172.25.254.53, protects against rebinding and validates
  has its routes        +-- dnsbridge 172.25.254.8
                        +-- the root of all names 192.0.2.54, signed; a private address would be stripped
                        +-- node 0 (web-0, 10.244.1.7), node 1 (web-1)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from tests.lab.lab import Lab
from tests.lab.own_nodes import own_nodes
from tests.support.daemon import Daemon
from tests.support.knot import Knot
from tests.support.links import must
from tests.support.namespace import Namespace
from tests.support.office_dns import FRONTS, Root
from tests.support.program import Program
from tests.support.signed_root import signed_root
from tests.support.started import run
from tests.support.waiting import eventually

DNS, BRIDGE, ROOT = "172.25.254.53", "172.25.254.8", "192.0.2.54"
_ROOT_HERE = "172.25.254.54"
RESOLV_CONF = f"nameserver {DNS}\noptions timeout:1 attempts:1\n"


class Office(Struct):
    """The lab; its office server is not there yet."""

    lab: Lab
    dns: Namespace
    root: Root

    def printed(self, program: str) -> str:
        """What `dnsbridge clients` prints for an office server."""
        words = ["clients", FRONTS[program].kind, "--server", BRIDGE, "--manifests", str(self.lab.manifests)]
        return run(*words).stdout

    @contextmanager
    def serving(self, program: str, said: str, folder: Path, more: str = "") -> Iterator[None]:
        """The office server with this part of `printed`, and more."""
        folder.mkdir()
        front, config = FRONTS[program], folder / "config"
        config.write_text(front.configured(said, DNS, 53, folder, self.root) + more, encoding="utf-8")
        with Daemon(self.dns, front.command(config), folder / "log") as daemon:
            daemon.wait(lambda: f"{DNS}:53 " in must(self.dns, "ss", "-lnuH"))
            yield


@contextmanager
def office(folder: Path) -> Iterator[Office]:
    """The lab, with its root and dnsbridge; `folder` is empty."""
    with own_nodes(folder, "case4-host-gw") as (lab, _):
        lab.routes("apply")
        lab.kill()
        dns, bridge, root = (lab.host(f"{address}/24") for address in (DNS, BRIDGE, _ROOT_HERE))
        must(root, "ip", "address", "add", f"{ROOT}/32", "dev", "lo")
        must(dns, "ip", "route", "add", ROOT, "via", _ROOT_HERE)
        lab.machine.configure(RESOLV_CONF)
        zone, key = signed_root(folder / "keys", ROOT)
        serving = Program(lab.manifests, listen=[f"{BRIDGE}:53"], command_prefix=bridge.prefix, upstreams=["127.0.0.9"])
        with serving, Knot(folder / "root", {".": zone}, address=ROOT, port=53, command_prefix=root.prefix):
            eventually(lambda: "a.root." in dns.run("dig", f"@{ROOT}", "+short", "+tries=1", "SOA", ".").stdout)
            yield Office(lab, dns, Root(ROOT, key))
