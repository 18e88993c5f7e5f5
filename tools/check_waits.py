"""No test waits by the clock. Prints where one does and exits 1.

    sleep(0.1)                 wait for a condition instead: tests.support.waiting
    timeout(5), settimeout(5)  under 30 s a busy machine fails the test: DEADLINE
    assert ... monotonic()     assert an order or a count, or drive the clock: tests.support.driven_loop

Where a fault or a scripted server must take its time, a comment on the line says so: `# delay: REASON`.
"""

import ast
import math
import sys
from collections.abc import Iterator
from pathlib import Path

LEAST = 30
"""Seconds."""
SLEEPS = {"sleep"}
LIMITS = {"timeout", "settimeout", "wait_for", "create_connection"}
CLOCKS = {"monotonic", "perf_counter", "monotonic_ns", "perf_counter_ns"}
ALLOWED = "# delay: "


def main() -> int:
    """Check every module of the tests; an argument names another place that has some."""
    root = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent.parent
    found = [line for path in sorted((root / "tests").rglob("*.py")) for line in faults(path, root)]
    for line in found:
        print(line)
    return 1 if found else 0


def faults(path: Path, root: Path) -> Iterator[str]:
    """The lines of one module that wait by the clock, as FILE:LINE and what to do."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        said = _said(node)
        if said and ALLOWED not in lines[node.lineno - 1]:  # type: ignore[attr-defined]  # all that is said has a line
            yield f"{path.relative_to(root)}:{node.lineno}: {said}"  # type: ignore[attr-defined]


def _said(node: ast.AST) -> str:
    """What is wrong with a node; empty: nothing."""
    if isinstance(node, ast.Assert) and any(_name(each) in CLOCKS for each in ast.walk(node)):
        return "a verdict by the clock: assert an order or a count, or drive the clock (tests.support.driven_loop)"
    if _name(node) in SLEEPS and any(seconds > 0 for seconds in _numbers(node)):
        return "a sleep: wait for a condition (tests.support.waiting), or say why after `# delay: `"
    if _name(node) in LIMITS and any(0 < seconds < LEAST for seconds in _numbers(node)):
        return f"a limit under {LEAST} s: use DEADLINE (tests.support.waiting), or say why after `# delay: `"
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DEADLINE" and _seconds(node.value) < LEAST:
        return f"a deadline under {LEAST} s"
    return ""


def _name(node: ast.AST) -> str:
    """The last word of what is called; empty for what is no call."""
    if not isinstance(node, ast.Call):
        return ""
    called = node.func
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def _seconds(node: ast.AST) -> float:
    """A number as it is written; infinite for what is none."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else math.inf


def _numbers(node: ast.AST) -> list[float]:
    """The numbers among the arguments of a call."""
    assert isinstance(node, ast.Call)
    given = [*node.args, *(each.value for each in node.keywords if each.arg == "timeout")]
    return [seconds for each in given if (seconds := _seconds(each)) < math.inf]


if __name__ == "__main__":
    sys.exit(main())
