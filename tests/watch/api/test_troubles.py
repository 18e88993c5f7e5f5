"""When a trouble of an API server is a line of the log: what is met and read at which second, and what is said."""

from typing import NamedTuple

import pytest

from dnsbridge.watch.api.troubles import MAX_KINDS, Troubles


class Case(NamedTuple):
    """Steps `SECOND RESOURCE: PROBLEM` or `SECOND RESOURCE read`, and the lines said; `-` is the server as a whole."""

    name: str
    steps: str
    lines: list[str]


CASES = [
    Case("once, then its end", "0 a: busy, 1 a: busy, 2 a: busy, 3 a read", ["0 a: busy", "3 a: connected again"]),
    Case(
        "a count at growing intervals",
        ", ".join(f"{second} a: busy" for second in range(36)),
        ["0 a: busy", "10 a: busy (still, 10 times in 10 s)", "30 a: busy (still, 20 times in 20 s)"],
    ),
    Case("a reading without trouble is nothing to say", "0 a read, 1 a: busy, 2 b read", ["1 a: busy"]),
    Case(
        "ten times a second there and gone again",
        ", ".join(f"{tenth / 10} a: HTTP 500, {tenth / 10 + 0.05} a read" for tenth in range(150)),
        [
            "0.0 a: HTTP 500",
            "0.05 a: connected again",
            "10.0 a: HTTP 500 (still, 100 times in 10 s)",
            "10.05 a: connected again",
        ],
    ),
    Case(
        "a trouble that has long been over is new",
        "0 a: busy, 1 a read, 60 a: busy, 61 a read",
        ["0 a: busy", "1 a: connected again", "60 a: busy", "61 a: connected again"],
    ),
    Case(
        "one kind met by several is one line, and one end",
        "0 a: busy, 0 b: busy, 0 c: busy, 0 d: busy, 10 b: busy, 11 a read, 12 b read, 13 c read, 14 d read",
        ["0 a: busy", "10 a, b, c and 1 more: busy (still, 4 times in 10 s)", "14 a, b, c and 1 more: connected again"],
    ),
    Case(
        "numbers in a text do not make it another kind",
        "0 a: request 17 failed, 1 a: request 18 failed, 10 a: request 19 failed",
        ["0 a: request 17 failed", "10 a: request 19 failed (still, 2 times in 10 s)"],
    ),
    Case(
        "two kinds are two lines, and one end",
        "0 -: broke, 1 -: refused, 2 -: refused, 3 a read, 3 b read",
        ["0 broke", "1 refused", "3 connected again"],
    ),
    Case(
        "the server as a whole is back with the first reading, whoever failed again meanwhile",
        "0 -: refused, 1 a read, 2 -: refused, 3 b read",
        ["0 refused", "1 connected again"],
    ),
    Case("who reads while another still fails", "0 a: busy, 1 b: busy, 2 a read", ["0 a: busy"]),
    Case(
        "rare, and once in an interval",
        "0 a: forbidden, 300 a: forbidden",
        ["0 a: forbidden", "300 a: forbidden (still, once in 300 s)"],
    ),
]


def played(troubles: Troubles, steps: str) -> list[str]:
    """The lines that the steps bring."""
    lines = []
    for step in steps.split(", "):
        second, _, what = step.partition(" ")
        about, _, problem = what.partition(": ")
        if problem:
            said = [troubles.meet(problem, about.strip("-"), float(second))]
        else:
            said = troubles.read(what.removesuffix(" read"), float(second))
        lines += [f"{second} {line}" for line in said if line]
    return lines


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_lines(case: Case) -> None:
    """Each course of troubles is these lines and no others."""
    assert played(Troubles(), case.steps) == case.lines


def test_bound() -> None:
    """However many different texts a server sends, the kinds that are remembered and the lines stay few."""
    letters = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(600)]
    lines = played(Troubles(), ", ".join(f"0 a: odd {text}" for text in letters))
    assert len(lines) == MAX_KINDS + 1
