"""What the query log and dnstap cost: CPU per answer of names asked over and over, in interleaved rounds.

    python -m benchmarks.recorded [--rounds N] [--seconds S] [--json FILE]

dnstap goes to a file here, and the log too, so that the reader's CPU is not in the figures.
"""

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.parts.figures import Figure
from benchmarks.parts.load import run_round
from benchmarks.parts.names import Name, names, write_questions
from benchmarks.parts.peers import Dnsbridge
from benchmarks.parts.run import report, two_cores

NAMES = 10_000
OFF = "nothing recorded"
WAYS: dict[str, dict[str, Any]] = {
    OFF: {},
    "query log, 1 of 100": {"queries": {"to": "queries.log", "sample": 100}},
    "query log and dnstap, 1 of 100": {
        "queries": {"to": "queries.log", "sample": 100},
        "dnstap": {"to": "queries.tap", "sample": 100},
    },
    "query log, all": {"queries": {"to": "queries.log"}},
}
MORE = 1.05
"""The bar: how many times as much CPU a log sampled at 1 of 100 may cost."""


class Recording(Dnsbridge):
    """dnsbridge with settings of `log`."""

    def __init__(self, folder: Path, name: str, log: dict[str, Any]) -> None:
        self.name = name
        super().__init__(folder)
        self._log_settings = log

    def configure(self, names: list[Name]) -> list[str]:
        """See Peer."""
        file = self.folder / "dnsbridge.yaml"
        file.write_text(json.dumps({"log": self._log_settings}))
        return [*super().configure(names), "--config", str(file)]


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="the cost of the query log and of dnstap")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2, help="seconds of each round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()

    def measured(folder: Path) -> list[Figure]:
        server_core, load_core = two_cores()
        asked = names(NAMES)
        questions = folder / "questions"
        write_questions(asked, questions)
        cpu: dict[str, list[float]] = {way: [] for way in WAYS}
        with ExitStack() as running:
            servers = [Recording(folder, way, log) for way, log in WAYS.items()]
            for server in servers:
                running.callback(server.stop)
                server.start(asked, server_core)
                run_round(server, questions, 1, load_core)
            for _ in range(options.rounds):
                for server in servers:
                    cpu[server.name].append(run_round(server, questions, options.seconds, load_core).cpu)
        found = [Figure(f"{way}: CPU per answer", median(each), "us") for way, each in cpu.items()]
        for way, each in cpu.items():
            if way != OFF:
                # Each round is compared with its own neighbour, so that a slow moment of the machine counts for both.
                ratios = [one / off for one, off in zip(each, cpu[OFF], strict=True)]
                found.append(Figure(f"{way}: over {OFF}", median(ratios), "", MORE if "all" not in way else None))
        return found

    return report(measured, options.json)


if __name__ == "__main__":
    sys.exit(main())
