"""A benchmark's figures beside their bars: a table for people, JSON for later runs to be compared with."""

from collections.abc import Sequence
from pathlib import Path

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One line of the table; without a bar it explains another one."""

    what: str
    value: float
    unit: str
    bar: float | None = None
    """The most that it should be."""
    floor: bool = False
    """The bar is the least that it should be."""

    @property
    def held(self) -> bool | None:
        """Whether the figure keeps its bar."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.floor else self.value <= self.bar


def line(figure: Figure) -> str:
    """A figure for people."""
    held = {True: "held", False: "MISSED", None: ""}[figure.held]
    bar = "" if figure.bar is None else f"{'>=' if figure.floor else '<='} {figure.bar:g}"
    value = f"{figure.value:,.0f}" if figure.value >= 1000 else f"{figure.value:.2f}"
    return f"{figure.what:<56}{value:>10} {figure.unit:<4}{bar:>8}  {held}".rstrip()


def table(figures: Sequence[Figure]) -> str:
    """All of them."""
    return "\n".join(line(figure) for figure in figures)


def plain(figures: Sequence[Figure]) -> list[dict[str, object]]:
    """All of them for JSON, each with whether it is held."""
    return [{**msgspec.to_builtins(figure), "held": figure.held} for figure in figures]


def write_json(file: Path, report: object) -> None:
    """Anything that msgspec can encode, indented."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def show(figures: Sequence[Figure], file: Path | None) -> None:
    """Print the table, and write it to a file too, where one is named."""
    print(table(figures))
    if file:
        write_json(file, plain(figures))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that is not exceeded by so many percent of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
