"""Quoting a text from outside in the message that says what is wrong with it."""

_SHOWN = 60
_LONGEST = 100


def excerpt(text: str) -> str:
    """The beginning of a text, quoted and in ASCII only: at most 103 characters for any text."""
    shown = ascii(text[:_SHOWN])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
