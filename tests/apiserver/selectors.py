"""Label and field selectors.

Labels: `k=v`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, `k`, `!k`, joined by commas.
Fields: `metadata.name` and `metadata.namespace` with `=`, `==`, `!=`, joined by commas.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from tests.apiserver.status import bad_request

Labels = Mapping[str, str]

_KEY = r"([A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?)"
_SET = re.compile(rf"{_KEY}\s+(in|notin)\s*\(([^()]*)\)")
_EQUAL = re.compile(rf"{_KEY}\s*(==|=|!=)\s*([-A-Za-z0-9_.]*)")
_EXISTS = re.compile(rf"(!?)\s*{_KEY}")
_COMMA = re.compile(r",(?![^()]*\))")


class Requirement(Struct, frozen=True):
    """One part of a selector: the key's value is (or is not) one of these; None stands for a missing key."""

    key: str
    values: frozenset[str] | None
    """None: any value at all."""
    wanted: bool

    def matches(self, values: Labels) -> bool:
        """Whether it is met; `!=` and `notin` also are by a missing key."""
        value = values.get(self.key)
        found = value is not None and (self.values is None or value in self.values)
        return found is self.wanted


class Selector(Struct, frozen=True):
    """What a list or watch is limited to."""

    namespace: str = ""
    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    @property
    def narrow(self) -> bool:
        """Whether it selects by more than the namespace."""
        return bool(self.labels or self.fields)

    def matches(self, namespace: str, name: str, labels: Labels) -> bool:
        """Whether an object is selected."""
        if self.namespace and namespace != self.namespace:
            return False
        fields = {"metadata.name": name, "metadata.namespace": namespace}
        return all(part.matches(labels) for part in self.labels) and all(part.matches(fields) for part in self.fields)


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """A labelSelector; raises Failure (400)."""
    return tuple(_label(part.strip()) for part in _COMMA.split(text) if part.strip())


def _label(text: str) -> Requirement:
    if found := _SET.fullmatch(text):
        key, operator, values = found.groups()
        return Requirement(key, frozenset(value.strip() for value in values.split(",")), operator == "in")
    if found := _EQUAL.fullmatch(text):
        key, operator, value = found.groups()
        return Requirement(key, frozenset([value]), operator != "!=")
    if found := _EXISTS.fullmatch(text):
        return Requirement(found[2], None, not found[1])
    raise bad_request(f"unable to parse requirement: {text}")


def parse_fields(text: str) -> tuple[Requirement, ...]:
    """A fieldSelector; raises Failure (400)."""
    return tuple(_field(part.strip()) for part in text.split(",") if part.strip())


def _field(text: str) -> Requirement:
    found = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", text)
    if not found:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    key, operator, value = found.groups()
    if key not in ("metadata.name", "metadata.namespace"):
        raise bad_request(f"field label not supported: {key}")
    return Requirement(key, frozenset([value]), operator != "!=")
