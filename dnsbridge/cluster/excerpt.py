"""How a text from outside is shown in the line that says what is wrong with it."""

_SHOWN = 60
_LONGEST = 100


def excerpt(text: str) -> str:
    """The beginning of a text, in quotes and in ASCII alone: at most 103 characters, whatever they are."""
    shown = ascii(text[:_SHOWN])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
