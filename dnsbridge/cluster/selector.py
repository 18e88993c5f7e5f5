"""Label selectors, as `kubectl get --selector` takes them (labels.Parse of apimachinery).

Requirements are separated by commas, and all must hold. An empty selector matches everything.

key = value    key == value    key != value          != also matches an absent label
key in (a, b)  key notin (a, b)                      notin also matches an absent label
key            !key                                  the label is present, or absent
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from dnsbridge.cluster.excerpt import excerpt

_TOKEN = re.compile(r"\s*(?:(==|!=|[=,()!])|([^\s=,()!]+)|$)")
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")

MAX_LENGTH = 10_000
"""Characters of a selector."""


class Requirement(Struct, frozen=True):
    """A requirement on one label."""

    key: str
    values: tuple[str, ...] | None = None
    """None: any value."""
    negated: bool = False

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels meet the requirement."""
        value = labels.get(self.key)
        found = value is not None and (self.values is None or value in self.values)
        return found is not self.negated


class Selector(Struct, frozen=True):
    """Requirements on labels, all of which must hold."""

    requirements: tuple[Requirement, ...] = ()
    text: str = ""
    """As it was written."""

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels match."""
        return all(each.fits(labels) for each in self.requirements)


class BadSelector(Struct, frozen=True):
    """Why a text is not a selector."""

    problem: str


class _WrongError(ValueError):
    pass


def parse(text: str) -> Selector | BadSelector:
    """The selector of a text."""
    if len(text) > MAX_LENGTH:
        return BadSelector(f"over {MAX_LENGTH} characters")
    try:
        tokens = _tokens(text)
        requirements = []
        while tokens:
            requirements.append(_requirement(tokens))
            if tokens:
                _expect(tokens, ",")
                if not tokens:
                    raise _WrongError("expected a label after the last comma")
    except _WrongError as error:
        return BadSelector(str(error))
    return Selector(tuple(requirements), text)


def _tokens(text: str) -> list[str]:
    """The tokens in reverse, so that the next one is at the end."""
    found = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        assert token  # each character is of one of the two kinds, or space
        at = token.end()
        if word := token[1] or token[2]:
            found.append(word)
    return found[::-1]


def _next(tokens: list[str]) -> str:
    return tokens.pop() if tokens else ""


def _expect(tokens: list[str], *wanted: str) -> str:
    token = _next(tokens)
    if token not in wanted:
        raise _WrongError(f"expected {' or '.join(wanted)}, got {ascii(token[:60]) if token else 'the end'}")
    return token


def _requirement(tokens: list[str]) -> Requirement:
    if tokens[-1] == "!":
        tokens.pop()
        return Requirement(_key(_next(tokens)), negated=True)
    key = _key(_next(tokens))
    if not tokens or tokens[-1] == ",":
        return Requirement(key)
    operator = _expect(tokens, "=", "==", "!=", "in", "notin")
    if operator in ("in", "notin"):
        _expect(tokens, "(")
        values = [_value(tokens)]
        while _expect(tokens, ",", ")") == ",":
            values.append(_value(tokens))
        return Requirement(key, tuple(values), operator == "notin")
    return Requirement(key, (_value(tokens),), operator == "!=")


def _key(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not _DOMAIN.fullmatch(prefix)):
        raise _WrongError(
            f"expected a label's key such as example.com/role, got {ascii(text[:60]) if text else 'the end'}"
        )
    return text


def _value(tokens: list[str]) -> str:
    """A value, which may be empty."""
    if not tokens or tokens[-1] in (",", ")"):
        return ""
    text = _next(tokens)
    if not _NAME.fullmatch(text):
        raise _WrongError(
            f"expected a label's value of at most 63 letters, digits, '-', '_' and '.', got {excerpt(text)}"
        )
    return text
