"""Output for people (tables that line up, colours only on a terminal) and for programs (JSON with stable keys)."""

import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec


def print_json(value: Any) -> None:
    """Print one JSON document, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, as wide as its content unless it goes to a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # No lines around cells, so that awk can cut the output.
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in header:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    terminal = sys.stdout.isatty()
    Console(width=None if terminal else 10_000, soft_wrap=False, highlight=False).print(table)
