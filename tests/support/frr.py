"""A real router, FRR: zebra, staticd and bgpd in a namespace, asked through vtysh.

with Frr(host, BGP) as frr:
    frr.vtysh("show ip route")
    frr.learned()      what BGP has told it, {"10.233.98.0/24": {"10.200.20.105"}}
    frr.versions()     by prefix a number that grows whenever its path is replaced
"""

import json
from pathlib import Path
from typing import Any

from tests.support.daemon import RealServer, open_folder
from tests.support.links import must
from tests.support.namespace import Namespace

_DAEMONS = ("zebra", "staticd", "bgpd")


class Frr(RealServer):
    """The three daemons; `with` runs them."""

    def __init__(self, host: Namespace, config: str = "") -> None:
        """`config` is what `vtysh` would write: `router bgp ...`, `ip route ...`."""
        super().__init__()
        self._host = host
        self._config = config
        self.folder = Path()
        """Where its sockets are."""

    def _start(self) -> None:
        folder = self.folder = self._stack.enter_context(open_folder("frr"))
        for name in _DAEMONS:
            command = [name, "--vty_socket", str(folder), "-z", str(folder / "zserv")]
            command += ["-i", str(folder / f"{name}.pid")]
            # No configuration file, no terminal over TCP.
            command += ["-f", "/dev/null", "-A", "127.0.0.1", "-P", "0", "--log", "stdout"]
            self._run(command, folder / f"{name}.log", (folder / f"{name}.vty").exists, self._host)
        if self._config:
            self.configure(self._config)

    def vtysh(self, *commands: str) -> str:
        """What it prints for commands."""
        words = [word for command in commands for word in ("-c", command)]
        return must(self._host, "vtysh", "--vty_socket", str(self.folder), *words)

    def configure(self, config: str) -> None:
        """Take lines of configuration over."""
        self.vtysh("configure terminal", *config.splitlines())

    def learned(self) -> dict[str, set[str]]:
        """The next hops of its valid BGP paths, by prefix, IPv4 and IPv6."""
        return {
            prefix: {hop["ip"] for path in paths if path.get("valid") for hop in path["nexthops"] if hop.get("used")}
            for prefix, paths in self._paths().items()
        }

    def stale(self) -> set[str]:
        """The prefixes that it keeps only because their speaker may restart (RFC 4724)."""
        return {prefix for prefix, paths in self._paths().items() if any(path.get("stale") for path in paths)}

    def installed(self) -> dict[str, set[str]]:
        """The next hops that BGP has put into its kernel's table, by prefix."""
        found: dict[str, set[str]] = {}
        for command in ("show ip route bgp json", "show ipv6 route bgp json"):
            for prefix, entries in json.loads(self.vtysh(command) or "{}").items():
                found[prefix] = {hop["ip"] for entry in entries for hop in entry["nexthops"] if hop.get("fib")}
        return found

    def versions(self) -> dict[str, int]:
        """The version of its table with which the best path of each prefix was last replaced."""
        versions = {}
        for prefix in self._paths():
            family = "ipv6" if ":" in prefix else "ipv4"
            versions[prefix] = json.loads(self.vtysh(f"show bgp {family} unicast {prefix} json"))["version"]
        return versions

    def _paths(self) -> dict[str, list[dict[str, Any]]]:
        paths: dict[str, list[dict[str, Any]]] = {}
        for family in ("ipv4", "ipv6"):
            paths.update(json.loads(self.vtysh(f"show bgp {family} unicast json") or "{}").get("routes", {}))
        return paths
