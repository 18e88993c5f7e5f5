"""A real BGP speaker, GoBGP, in a namespace, asked through its gobgp command.

with GoBgp(host, CONFIG) as gobgp:
    gobgp.learned()      what it has been told, {"10.233.98.0/24": {"10.200.20.105"}}
"""

import json
from typing import Any

from tests.support.daemon import RealServer, open_folder
from tests.support.links import must
from tests.support.namespace import Namespace


class GoBgp(RealServer):
    """The daemon; `with` runs it."""

    def __init__(self, host: Namespace, config: str) -> None:
        """`config` is gobgpd's, in TOML."""
        super().__init__()
        self._host = host
        self._config = config

    def _start(self) -> None:
        folder = self._stack.enter_context(open_folder())
        config = folder / "gobgpd.toml"
        config.write_text(self._config, encoding="utf-8")
        command = ["gobgpd", "-t", "toml", "-f", str(config), "--api-hosts", "127.0.0.1:50051"]

        def answers() -> bool:
            return self._host.run("gobgp", "global").returncode == 0

        self._run(command, folder / "gobgpd.log", answers, self._host)

    def learned(self) -> dict[str, set[str]]:
        """The next hops of its paths, by prefix, IPv4 and IPv6."""
        return {
            prefix: {_next_hop(path) for path in paths}
            for family in ("ipv4", "ipv6")
            for prefix, paths in self._paths(family).items()
        }

    def stale(self) -> set[str]:
        """The prefixes that it keeps only because their speaker may restart (RFC 4724)."""
        return {
            prefix
            for family in ("ipv4", "ipv6")
            for prefix, paths in self._paths(family).items()
            if any(path.get("stale") for path in paths)
        }

    def ages(self) -> dict[str, int]:
        """The second of the epoch in which each path came, by prefix."""
        return {
            prefix: max(path["age"] for path in paths)
            for family in ("ipv4", "ipv6")
            for prefix, paths in self._paths(family).items()
        }

    def _paths(self, family: str) -> dict[str, list[dict[str, Any]]]:
        told: dict[str, list[dict[str, Any]]] = json.loads(
            must(self._host, "gobgp", "-j", "global", "rib", "-a", family) or "{}"
        )
        return told


def _next_hop(path: dict[str, Any]) -> str:
    # RFC 4271 NEXT_HOP, or the one in RFC 4760 MP_REACH_NLRI.
    return next(str(each["nexthop"]) for each in path["attrs"] if each["type"] in (3, 14))
