"""The chart of a run: bars of CPU time per answer, by workload and server, as SVG."""

from html import escape

from benchmarks.suite.report import Report, what
from benchmarks.suite.servers import OURS

SHOWN = ("hot", "cached", "new", "office")
_WIDTH, _LEFT, _BAR, _LINE, _GAP, _TOP = 720, 110, 480, 20, 34, 44
_OURS, _THEIRS = "#1f6feb", "#9aa4b2"


def chart(report: Report) -> str:
    """The workloads of SHOWN that were measured; each has a scale of its own."""
    parts = []
    y = _TOP
    for workload in SHOWN:
        found = [one for one in report.outcome.results if one.workload == workload]
        if not found:
            continue
        parts.append(_text(0, y, f"{workload}: {what(workload)}", bold=True))
        longest = max(one.middle("cpu") for one in found)
        for one in sorted(found, key=lambda one: one.middle("cpu")):
            y += _LINE
            value = one.middle("cpu")
            width = max(1, round(_BAR * value / longest))
            colour = _OURS if one.peer == OURS.name else _THEIRS
            parts.append(_text(0, y, one.peer))
            parts.append(f'<rect x="{_LEFT}" y="{y - 12}" width="{width}" height="14" fill="{colour}"/>')
            parts.append(_text(_LEFT + width + 6, y, f"{value:.1f}"))
        y += _GAP
    title = _text(0, 18, "Microseconds of CPU time per answer, less is better", bold=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}" '
        f'font-family="sans-serif" font-size="13">\n<rect width="{_WIDTH}" height="{y}" fill="#ffffff"/>\n'
        + "\n".join([title, *parts])
        + "\n</svg>\n"
    )


def _text(x: int, y: int, text: str, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}"{weight} fill="#1f2328">{escape(text)}</text>'
