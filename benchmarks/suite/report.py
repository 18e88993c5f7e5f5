"""What a run says: a table and Markdown for people, JSON for later runs, and the figures that have bars."""

import os
import platform
from pathlib import Path

from msgspec import Struct, json

from benchmarks.parts.figures import Figure
from benchmarks.parts.figures import table as figures_table
from benchmarks.suite.changing import RATE
from benchmarks.suite.runner import Outcome, Result
from benchmarks.suite.servers import OURS, PEERS
from benchmarks.suite.workloads import HOT, OFFICE, WORKLOADS

NOISE = 1.10
"""A ratio that has grown by more than this against an earlier run got worse."""
BUSY = 0.95
"""A server whose core was less busy was not the limit of its rate: it is marked."""


class Report(Struct):
    """All of a run, as it is in the JSON file."""

    date: str
    machine: str
    versions: dict[str, str]
    rounds: int
    seconds: float
    outcome: Outcome
    ratios: dict[str, float] = {}
    """dnsbridge's CPU time per answer over a peer's ("hot/unbound") or over its own hot one ("case/hot")."""


def what(workload: str) -> str:
    """A workload in a line."""
    lines = {one.name: one.what for one in WORKLOADS}
    return lines.get(workload, f"10,000 cluster names under {RATE} changes a second of the cluster")


def machine() -> str:
    """What it was measured on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    cores = len(os.sched_getaffinity(0))
    kernel = platform.release().partition("-")[0]
    return f"{models[0] if models else platform.machine()}, {cores} cores, {system}, Linux {kernel}"


def versions(outcome: Outcome) -> dict[str, str]:
    """Of every server that took part."""
    took_part = {one.peer for one in outcome.results}
    found = {kind.name: kind.installed_version() for kind in (OURS, *PEERS) if kind.name in took_part}
    return {**found, "Python": platform.python_version()}


def ratios(outcome: Outcome) -> dict[str, float]:
    """dnsbridge's CPU time per answer, in relation to each peer's and to its own hot figure."""
    cpu = {(one.workload, one.peer): one.middle("cpu") for one in outcome.results}
    hot = cpu.get((HOT, OURS.name))
    found = {}
    for (workload, peer), value in cpu.items():
        ours = cpu[workload, OURS.name]
        # A server may have used no tick of the kernel's clock in a very short round.
        if peer != OURS.name and value:
            found[f"{workload}/{peer}"] = ours / value
        elif peer == OURS.name and hot and workload != HOT:
            found[f"{workload}/{HOT}"] = ours / hot
    return found


def figures(outcome: Outcome) -> list[Figure]:
    """Everything that has a bar and was measured."""
    found = ratios(outcome)
    results = {(one.workload, one.peer): one for one in outcome.results}
    authoritative = [found[key] for key in ("hot/knot", "hot/nsd") if key in found]
    wanted = [
        ("hot: CPU/answer over unbound's", found.get("hot/unbound"), 1.10),
        ("hot: CPU/answer over that of the best of knot and nsd", max(authoritative, default=None), 1.25),
        *((f"{one}: CPU/answer over our hot one", found.get(f"{one}/hot"), 2.0) for one in ("case", "cookies")),
        *(
            (f"{one}: CPU/answer over our hot one", found.get(f"{one}/hot"), 1.5)
            for one in ("nodata", "search", "srv", "ptr", "headless")
        ),
        ("cached: CPU/answer over dnsdist's packet cache", found.get("cached/dnsdist"), 1.15),
    ]
    made = [Figure(name, value, "", bar) for name, value, bar in wanted if value is not None]
    if cold := results.get(("cold", OURS.name)):
        made.append(Figure("cold: CPU/answer", cold.middle("cpu"), "us", 25))
    if unbound := results.get(("new", "unbound")):
        rate = results["new", OURS.name].middle("rate") / unbound.middle("rate")
        made.append(Figure("new: answers/s over unbound's", rate, "", 1.2, floor=True))
    for one in outcome.results:
        if one.peer == OURS.name and one.latency:
            made.append(Figure(f"{one.workload}: p99 at half load", one.latency.p99, "ms", 2))
            made.append(Figure(f"{one.workload}: p99.9 at half load", one.latency.p999, "ms", 10))
    return made


HEADINGS = ("", "us/answer", "user", "system", "ratio", "answers/s", "busy", "p50 ms", "p99 ms", "p99.9 ms", "taken ms")


def rows(outcome: Outcome, workload: str) -> list[tuple[str, ...]]:
    """A workload's lines, dnsbridge's first, each as the cells under HEADINGS."""
    found = [one for one in outcome.results if one.workload == workload]
    ours = next(one.middle("cpu") for one in found if one.peer == OURS.name)
    return [_cells(one, ours) for one in found]


def _cells(one: Result, ours: float) -> tuple[str, ...]:
    cpu, busy, late = one.middle("cpu"), one.middle("busy"), one.latency
    # A server that was not busy could have answered more.
    rate = f"{'' if busy >= BUSY else '>= '}{one.middle('rate'):,.0f}"
    times = [f"{value:.2f}" for value in (late.p50, late.p99, late.p999, late.waited * 1000)] if late else [""] * 4
    ratio = "" if one.peer == OURS.name or not cpu else f"{ours / cpu:.2f}"
    return (
        one.peer,
        f"{cpu:.2f}",
        f"{one.middle('user'):.2f}",
        f"{one.middle('system'):.2f}",
        ratio,
        rate,
        f"{busy:.0%}",
        *times,
    )


def table(report: Report) -> str:
    """For a terminal."""
    outcome = report.outcome
    lines = []
    for workload in workloads(outcome):
        lines.append(f"{workload}: {what(workload)}")
        for cells in (HEADINGS, *rows(outcome, workload)):
            lines.append("  " + f"{cells[0]:<10}" + "".join(f"{cell:>11}" for cell in cells[1:]).rstrip())
    lines.append("peak memory, MB: " + ", ".join(f"{name} {value:.0f}" for name, value in outcome.memory.items()))
    lines.append(f"longest pause of dnsbridge's garbage collector: {outcome.longest_pause:.2f} ms")
    lines += [f"left out: {line}" for line in outcome.left_out]
    return "\n".join([*lines, figures_table(figures(outcome))])


def summary(report: Report) -> list[str]:
    """CPU microseconds per answer, a line a workload: what the README shows."""
    outcome = report.outcome
    cpu = {(one.workload, one.peer): one.middle("cpu") for one in outcome.results}
    peers = [kind.name for kind in (OURS, *PEERS) if any(peer == kind.name for _, peer in cpu)]
    lines = ["| | " + " | ".join(peers) + " |", "|---|" + "---:|" * len(peers)]
    for workload in workloads(outcome):
        cells = [f"{cpu[workload, peer]:.1f}" if (workload, peer) in cpu else "" for peer in peers]
        lines.append(f"| {what(workload)} | " + " | ".join(cells) + " |")
    return lines


def markdown(report: Report) -> str:
    """For a page."""
    outcome = report.outcome
    programs = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    lines = [
        "# Speed",
        "",
        f"{report.date}, {report.machine}.",
        f"{programs}.",
        f"Medians of {report.rounds} rounds of {report.seconds:g} s each; the servers take turns.",
        "One core is the server's, the other is dnsperf's.",
        "",
        "`us/answer` is CPU time; `ratio` is dnsbridge's over the peer's: below 1, dnsbridge needs less.",
        "`>=`: the server's core was not busy, dnsperf (and the upstream beside it) was the limit.",
        "Latency is at half of dnsbridge's highest rate, the same for all peers.",
        "`taken`: how long others had the server's core meanwhile; what is more than a few ms is in the latency too.",
        "",
        "## Microseconds of CPU time per answer",
        "",
        *summary(report),
        "",
        "The office mix: " + ", ".join(f"{part.percent}% {part.what}" for part in OFFICE) + ".",
    ]
    for workload in workloads(outcome):
        lines += ["", f"## {workload}: {what(workload)}", ""]
        lines.append("| " + " | ".join(HEADINGS) + " |")
        lines.append("|---|" + "---:|" * (len(HEADINGS) - 1))
        lines += ["| " + " | ".join(cells) + " |" for cells in rows(outcome, workload)]
    lines += ["", "## Peak memory", "", "| | MB |", "|---|---:|"]
    lines += [f"| {name} | {value:.0f} |" for name, value in outcome.memory.items()]
    lines += ["", f"The longest pause of dnsbridge's garbage collector: {outcome.longest_pause:.2f} ms."]
    lines += ["", "## Left out", "", *(f"- {line}" for line in outcome.left_out)] if outcome.left_out else []
    lines += ["", "## Bars", "", "```", figures_table(figures(outcome)), "```"]
    return "\n".join(lines) + "\n"


def workloads(outcome: Outcome) -> list[str]:
    """Those that were measured, in their order."""
    return list(dict.fromkeys(one.workload for one in outcome.results))


def worse(report: Report, before: Report) -> list[str]:
    """The ratios that got worse since an earlier run; one that is not in both is not compared."""
    return [
        f"{name}: {value:.2f}, was {before.ratios[name]:.2f}"
        for name, value in report.ratios.items()
        if name in before.ratios and value > before.ratios[name] * NOISE
    ]


def read(file: Path) -> Report:
    """An earlier run's JSON; raises OSError and msgspec.MsgspecError."""
    return json.decode(file.read_bytes(), type=Report)
