"""Names in notes for people."""

from collections.abc import Sequence

SHOWN = 3
"""Names that a note lists before it counts the rest."""


def some(names: Sequence[object]) -> str:
    """The first names of many, for a note."""
    shown = ", ".join(str(name) for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
