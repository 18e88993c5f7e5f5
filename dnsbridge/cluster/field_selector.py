"""Field selectors, as `kubectl get --field-selector` takes them (fields.ParseSelector of apimachinery).

Requirements are separated by commas, and all must hold. An empty selector matches everything.

field = value    field == value    field != value        \\, \\= \\\\ in a value stand for the characters themselves
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from dnsbridge.cluster.excerpt import excerpt
from dnsbridge.cluster.selector import MAX_LENGTH, BadSelector

_EVERYWHERE = frozenset({"metadata.name", "metadata.namespace"})
SELECTABLE: Mapping[str, frozenset[str]] = {
    "Namespace": _EVERYWHERE | {"status.phase"},
    "Service": _EVERYWHERE | {"spec.clusterIP", "spec.type"},
    "EndpointSlice": _EVERYWHERE,
    "Endpoints": _EVERYWHERE,
    "Pod": _EVERYWHERE
    | {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork"}
    | {"status.phase", "status.podIP", "status.nominatedNodeName"},
}
"""The fields that an API server selects by, for each kind."""

_TERM = re.compile(r"(?:\\.|[^\\,])+")
_REQUIREMENT = re.compile(r"([^=!\\]+)(!=|==|=)((?:\\[\\,=]|[^\\=])*)")
_ESCAPED = re.compile(r"\\(.)")


class FieldRequirement(Struct, frozen=True):
    """A requirement on one field."""

    field: str
    value: str
    negated: bool = False


class FieldSelector(Struct, frozen=True):
    """Requirements on fields, all of which must hold."""

    requirements: tuple[FieldRequirement, ...] = ()

    def fits(self, data: Mapping[str, object]) -> bool:
        """Whether an object, as plain data, matches; a missing field counts as empty."""
        return all((_text(data, each.field) == each.value) is not each.negated for each in self.requirements)


def parse_fields(text: str, kind: str) -> FieldSelector | BadSelector:
    """The selector of a text, for objects of a kind."""
    if len(text) > MAX_LENGTH:
        return BadSelector(f"over {MAX_LENGTH} characters")
    requirements = []
    for term in _TERM.findall(text):
        found = _REQUIREMENT.fullmatch(term.strip())
        if not found:
            return BadSelector(f"expected a field selector such as metadata.name=web, got {excerpt(term)}")
        field, operator, value = found.groups()
        if field not in SELECTABLE[kind]:
            known = ", ".join(sorted(SELECTABLE[kind]))
            return BadSelector(f"an API server does not select a {kind} by {excerpt(field)}, but by {known}")
        requirements.append(FieldRequirement(field, _ESCAPED.sub(r"\1", value), operator == "!="))
    return FieldSelector(tuple(requirements))


def _text(data: object, path: str) -> str:
    for step in path.split("."):
        data = data.get(step) if isinstance(data, Mapping) else None
    if isinstance(data, bool):
        return str(data).lower()
    return "" if data is None else str(data)
