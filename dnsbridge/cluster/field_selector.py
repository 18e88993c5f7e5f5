"""Field selectors, as `kubectl get --field-selector` takes them (fields.ParseSelector of apimachinery).

requirements with commas between; all must hold; none at all fits everything

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
"""The fields that an API server takes, by kind."""

_TERM = re.compile(r"(?:\\.|[^\\,])+")
_REQUIREMENT = re.compile(r"([^=!\\]+)(!=|==|=)((?:\\[\\,=]|[^\\=])*)")
_ESCAPED = re.compile(r"\\(.)")


class FieldRequirement(Struct, frozen=True):
    """What one field must be."""

    field: str
    value: str
    negated: bool = False


class FieldSelector(Struct, frozen=True):
    """All that fields must be."""

    requirements: tuple[FieldRequirement, ...] = ()

    def fits(self, data: Mapping[str, object]) -> bool:
        """Whether the fields of an object, as plain data, are so; one that is missing is an empty text."""
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
