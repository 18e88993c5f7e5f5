"""Selecting the objects of a kind that are read, by labels and fields, as an API server would."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from dnsbridge.cluster.field_selector import FieldSelector, parse_fields
from dnsbridge.cluster.raw import RAW_TYPES
from dnsbridge.cluster.selector import BadSelector, Selector, parse

NAMESPACE = "default"
"""The namespace of an object that names none."""


class Selection(Struct, frozen=True):
    """Requirements on labels and fields."""

    labels: Selector = Selector()
    fields: FieldSelector = FieldSelector()


Selections = Mapping[str, Selection]
"""By kind; all objects of any other kind are read."""
EVERYTHING: Selections = MappingProxyType({})


def selection(labels: str, fields: str, kind: str) -> Selection | BadSelector:
    """The selection that these two texts describe."""
    by_labels, by_fields = parse(labels), parse_fields(fields, kind)
    if isinstance(by_labels, BadSelector):
        return by_labels
    return by_fields if isinstance(by_fields, BadSelector) else Selection(by_labels, by_fields)


def takes(selections: Selections, data: Mapping[str, object]) -> bool:
    """Whether an object, as plain data, is selected. An object of a kind that is not read passes: others judge it."""
    kind, version, metadata = data.get("kind"), data.get("apiVersion"), data.get("metadata")
    chosen = selections.get(kind) if isinstance(kind, str) else None
    if chosen is None or not isinstance(version, str) or (version, kind) not in RAW_TYPES:
        return True
    metadata = metadata if isinstance(metadata, Mapping) else {}
    labels = metadata.get("labels")
    texts = {key: value for key, value in labels.items() if isinstance(value, str)} if isinstance(labels, dict) else {}
    if kind != "Namespace":
        metadata = {**metadata, "namespace": metadata.get("namespace") or NAMESPACE}
    return chosen.labels.fits(texts) and chosen.fields.fits({**data, "metadata": metadata})
