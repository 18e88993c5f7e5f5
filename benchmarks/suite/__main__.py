"""dnsbridge next to every other DNS server that is installed, under the loads that an office and a cluster make.

The servers hold the same records and forward to the same upstream. Each runs on one core and dnsperf on another; they
take turns, every other round in reverse; the figures are medians. Answers are checked before the load. The exit status
says whether the measurement worked and, with --against, whether a ratio to a peer got worse by more than a tenth.

    python -m benchmarks.suite [--quick] [--rounds N] [--seconds S] [--workload NAME]... [--peer NAME]...
                               [--json FILE] [--markdown FILE] [--chart FILE] [--against FILE]
"""

import argparse
import sys
import tempfile
from datetime import date
from pathlib import Path

import msgspec

from benchmarks.parts.figures import write_json
from benchmarks.parts.run import Failed
from benchmarks.suite.chart import chart
from benchmarks.suite.report import Report, machine, markdown, ratios, read, table, versions, worse
from benchmarks.suite.runner import Plan, run
from benchmarks.suite.servers import PEERS
from benchmarks.suite.workloads import HOT, NAMES

QUICK_LATENCY = (HOT,)
MOST_ROUNDS = 9
"""More would need more cold names than the cluster's prefix has addresses."""


def main() -> int:
    """Measure, print and write; 1 when something did not work or got worse."""
    options = _options()
    try:
        before = read(options.against) if options.against else None
    except (OSError, msgspec.MsgspecError) as error:
        print(f"--against {options.against}: {error}; it takes a file that --json has written", file=sys.stderr)
        return 2
    rounds, seconds = (1, 0.2) if options.quick else (5, 2.0)
    chosen = tuple(options.workload or NAMES)
    plan = Plan(
        chosen,
        tuple(options.peer or (kind.name for kind in PEERS)),
        options.rounds or rounds,
        options.seconds or seconds,
        QUICK_LATENCY if options.quick else chosen,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="dnsbridge-bench-") as folder:
            outcome = run(plan, Path(folder))
    except Failed as failure:
        print(f"no result: {failure}", file=sys.stderr)
        return 1
    today = date.today().isoformat()
    report = Report(today, machine(), versions(outcome), plan.rounds, plan.seconds, outcome, ratios(outcome))
    print(table(report))
    try:
        if options.json:
            write_json(options.json, report)
        if options.markdown:
            options.markdown.write_text(markdown(report), encoding="utf-8")
        if options.chart:
            options.chart.write_text(chart(report), encoding="utf-8")
    except OSError as error:
        print(f"not written: {error}", file=sys.stderr)
        return 1
    slower = worse(report, before) if before else []
    for line in slower:
        print(f"worse by more than a tenth: {line}")
    return 1 if slower else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description="dnsbridge next to its peers")
    parser.add_argument("--quick", action="store_true", help="one short round each: to see that all works")
    parser.add_argument("--rounds", type=int, metavar="N", help="counted rounds of each server (default 5)")
    parser.add_argument("--seconds", type=float, metavar="S", help="seconds of a round (default 2)")
    parser.add_argument("--workload", action="append", choices=NAMES, help="only this one; may be repeated")
    parser.add_argument(
        "--peer", action="append", choices=[kind.name for kind in PEERS], help="only this one, likewise"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round and the ratios there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw the CPU time per answer there, as SVG")
    parser.add_argument("--against", type=Path, metavar="FILE", help="fail when a ratio of that run got worse")
    options = parser.parse_args()
    if options.rounds is not None and not 1 <= options.rounds <= MOST_ROUNDS:
        parser.error(f"--rounds: 1 to {MOST_ROUNDS}")
    if options.seconds is not None and not 0.1 <= options.seconds <= 60:
        parser.error("--seconds: 0.1 to 60")
    return options


if __name__ == "__main__":
    sys.exit(main())
