"""A real router, BIRD 2, in a namespace, asked through birdc.

with Bird(host, CONFIG) as bird:
    bird.birdc("show protocols")
    bird.learned()      what BGP has told it, {"10.233.98.0/24": {"10.200.20.105"}}
"""

import re
from pathlib import Path

from tests.support.daemon import RealServer, open_folder
from tests.support.links import must
from tests.support.namespace import Namespace

_ROUTE = re.compile(r"^(?P<prefix>[0-9a-f.:]+/\d+) +(?P<rest>.*)$")
_VIA = re.compile(r"^\s+via (?P<address>[0-9a-f.:]+) on ")


class Bird(RealServer):
    """The daemon; `with` runs it."""

    def __init__(self, host: Namespace, config: str, kernel: str = "all") -> None:
        """`config` is bird.conf, without `protocol device` and the kernel's tables; `kernel` says what goes there."""
        super().__init__()
        self._host = host
        self._config = config
        self._kernel = kernel
        self.folder = Path()
        """Where bird.conf and its socket bird.ctl are."""

    def _start(self) -> None:
        self.folder = self._stack.enter_context(open_folder())
        config = self.folder / "bird.conf"
        config.write_text(
            f"""log stderr all;
protocol device {{}}
protocol direct {{ ipv4; ipv6; }}
protocol kernel {{ ipv4 {{ export {self._kernel}; }}; merge paths on; }}
protocol kernel {{ ipv6 {{ export {self._kernel}; }}; merge paths on; }}
{self._config}""",
            encoding="utf-8",
        )
        command = ["bird", "-f", "-c", str(config), "-s", str(self.socket), "-P", str(self.folder / "bird.pid")]
        self._run(command, self.folder / "bird.log", self.socket.exists, self._host)

    @property
    def socket(self) -> Path:
        """Its control socket."""
        return self.folder / "bird.ctl"

    def birdc(self, *words: str) -> str:
        """What it answers."""
        return must(self._host, "birdc", "-r", "-s", str(self.socket), *words)

    def learned(self, protocol: str = "switch") -> dict[str, set[str]]:
        """The next hops of the routes of a protocol, by prefix, IPv4 and IPv6."""
        found: dict[str, set[str]] = {}
        prefix = ""
        for line in self.birdc("show", "route", "table", "all", "where", "proto", "=", f'"{protocol}"').splitlines():
            if route := _ROUTE.match(line):
                prefix = route["prefix"]
                found.setdefault(prefix, set())
            elif (via := _VIA.match(line)) and prefix:
                found[prefix].add(via["address"])
        return found

    def ages(self, protocol: str = "switch") -> dict[str, str]:
        """The time at which each route of a protocol came to be as it is, to the millisecond."""
        lines = self.birdc("show", "route", "table", "all", "where", "proto", "=", f'"{protocol}"', "all").splitlines()
        return {
            route["prefix"]: route["rest"].split("[")[1].split("]")[0]
            for line in lines
            if (route := _ROUTE.match(line))
        }
