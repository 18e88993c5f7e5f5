"""Metrics as values: the counts of a process, to be shown, or sent to another process and summed there.

counter    only grows           summed over all processes, ended ones too
histogram  likewise             its last label is `le`: a bound, or `sum` for the sum of all values
gauge      goes up and down     summed over live processes
least      goes up and down     the least value of live processes counts: 1 while all agree
most       goes up and down     the largest value of live processes counts
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Literal

from msgspec import Struct
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from dnsbridge.observe.histogram import Histogram

_SUM = "sum"
Values = list[tuple[list[str], float]]
"""Label values, and the number."""
Labelled = Sequence[tuple[list[str], object]]
"""Parts of the program, each with the values of its labels."""


class Family(Struct, array_like=True, frozen=True):
    """A metric with all its label values; the name is without prefix and suffix."""

    name: str
    text: str
    kind: Literal["counter", "gauge", "least", "most", "histogram"]
    labels: list[str]
    values: Values


Make = Callable[[str, str, list[str], Values], Family]


def counter(name: str, text: str, labels: list[str], values: Values) -> Family:
    """A metric that only grows."""
    return Family(name, text, "counter", labels, values)


def gauge(name: str, text: str, labels: list[str], values: Values) -> Family:
    """A metric that goes up and down."""
    return Family(name, text, "gauge", labels, values)


def most(name: str, text: str, labels: list[str], values: Values) -> Family:
    """A metric whose largest value counts."""
    return Family(name, text, "most", labels, values)


def each_row(make: Make, labels: list[str], each: Labelled, rows: Iterable[tuple[str, str, str]]) -> Iterator[Family]:
    """A metric for each row of name, text and dotted attribute, of those parts that have the attribute."""
    for name, text, field in rows:
        read = attrgetter(field)
        yield make(name, text, labels, [(key, read(one)) for key, one in each if hasattr(one, field.partition(".")[0])])


def histogram(name: str, text: str, labels: list[str], each: Iterable[tuple[list[str], Histogram]]) -> Family:
    """Histograms, each with its label values."""
    values: Values = []
    for label_values, one in each:
        values += [([*label_values, _text(bound)], count) for bound, count in one.buckets()]
        values.append(([*label_values, _SUM], one.total))
    return Family(name, text, "histogram", [*labels, "le"], values)


def _text(bound: float) -> str:
    return "+Inf" if bound == float("inf") else str(float(bound))


def as_metric(family: Family) -> Metric:
    """The family as a Prometheus metric."""
    if family.kind == "histogram":
        return _histogram(family)
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric: Metric = kind(f"dnsbridge_{family.name}", family.text, labels=family.labels)
    for label_values, value in family.values:
        metric.add_metric(label_values, value)  # type: ignore[attr-defined]  # both have it, their base has not
    return metric


def _histogram(family: Family) -> Metric:
    metric = HistogramMetricFamily(f"dnsbridge_{family.name}", family.text, labels=family.labels[:-1])
    for label_values, of_one in groupby(family.values, lambda value: value[0][:-1]):
        buckets = {key[-1]: value for key, value in of_one}
        total = buckets.pop(_SUM)
        metric.add_metric(label_values, list(buckets.items()), total)
    return metric


def summed(reports: Iterable[Iterable[Family]]) -> list[Family]:
    """The families of several processes merged into one report, in the order of their first appearance."""
    families: dict[str, Family] = {}
    sums: dict[str, dict[tuple[str, ...], float]] = {}
    for report in reports:
        for family in report:
            families.setdefault(family.name, family)
            held = sums.setdefault(family.name, {})
            for label_values, value in family.values:
                key = tuple(label_values)
                if key not in held:
                    held[key] = value
                elif family.kind == "least":
                    held[key] = min(held[key], value)
                elif family.kind == "most":
                    held[key] = max(held[key], value)
                else:
                    held[key] += value
    return [
        Family(one.name, one.text, one.kind, one.labels, [(list(key), value) for key, value in sums[name].items()])
        for name, one in families.items()
    ]


def lasting(report: Iterable[Family]) -> list[Family]:
    """The part of a report that still counts when its process has ended."""
    return [family for family in report if family.kind in ("counter", "histogram")]
