"""The memory that cached answers take: 100,000 names with one address each, by the resident size of the process.

Then the upstream is stopped and all are asked again, so that the answers really are in the cache; what is ready-made
for the most recent of them (see dnsbridge/resolvers/prepared.py) is in the second figure.

    python -m benchmarks.cache_memory [--json FILE]
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.parts import memory
from benchmarks.parts.figures import Figure
from benchmarks.parts.forwarders import CACHED, Dnsbridge, Upstream, outside, write_owners
from benchmarks.parts.load import run_round
from benchmarks.parts.run import report, two_cores

SECONDS = 120
"""More than all names take."""


def measure(folder: Path) -> list[Figure]:
    """The figures; raises Failed."""
    server_core, load_core = two_cores()
    with ExitStack() as running:
        upstream = Upstream(folder)
        running.callback(upstream.stop)
        names = outside("set", CACHED)
        upstream.start(names, load_core)
        server = Dnsbridge(folder, [upstream.port])
        running.callback(server.stop)
        server.start(names, server_core)
        pid = server.check_alive()
        one, all_of_them = folder / "one", folder / "all"
        write_owners(names[-1:], one)
        write_owners(names, all_of_them)
        run_round(server, one, 1, load_core)
        before = memory.resident(pid)
        run_round(server, all_of_them, SECONDS, load_core, once=True)
        kept = memory.resident(pid)
        upstream.stop()
        run_round(server, all_of_them, SECONDS, load_core, once=True)
        asked_again = memory.resident(pid)
    what = f"memory for {CACHED:,} cached answers"
    return [
        Figure(what, kept - before, "MB", 100),
        Figure(f"{what}, all asked twice", asked_again - before, "MB", 100),
        Figure("the whole process, before", before, "MB"),
        Figure("the whole process, after", asked_again, "MB"),
    ]


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="memory of cached answers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    return report(measure, options.json)


if __name__ == "__main__":
    sys.exit(main())
