"""Histograms, against those of prometheus_client."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as Reference

from dnsbridge.app.facts.families import as_metric, histogram, lasting, summed
from dnsbridge.observe.histogram import OCTETS, SECONDS, Histogram, Sizes
from tests.support.properties import examples


class One:
    """A collector of one metric."""

    def __init__(self, values: list[float]) -> None:
        made = Histogram(SECONDS)
        for value in values:
            made.add(value)
        self._family = histogram("wait_seconds", "Waits.", ["source"], [(["cache"], made)])

    def collect(self) -> list[object]:
        """See prometheus_client."""
        return [as_metric(self._family)]


def page(registry: CollectorRegistry) -> list[str]:
    """What a scrape reads of a metric, without the time at which it was made."""
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@examples(200)
@given(st.lists(st.one_of(st.sampled_from(SECONDS), st.floats(0, 10, allow_nan=False))))
def test_a_page(values: list[float]) -> None:
    """A scrape reads the same of our histograms as of prometheus_client's."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    reference = Reference("dnsbridge_wait_seconds", "Waits.", ["source"], buckets=SECONDS, registry=theirs)
    for value in values:
        reference.labels("cache").observe(value)
    ours.register(One(values))  # type: ignore[arg-type]  # it need not be a Collector
    if values:
        found, expected = page(ours), page(theirs)
        assert [line for line in found if "_sum" not in line] == [line for line in expected if "_sum" not in line]
        sums = [float(line.split()[-1]) for lines in (found, expected) for line in lines if "_sum" in line]
        assert abs(sums[0] - sums[1]) < 1e-6


@examples(100)
@given(st.lists(st.integers(0, 70_000)))
def test_values_counted_one_by_one(sizes: list[int]) -> None:
    """Sizes that were counted one by one make the same histogram."""
    made, counted = Histogram(OCTETS), Sizes()
    for size in sizes:
        made.add(size)
        counted.add(size)
    found = counted.histogram()
    assert (found.buckets(), found.total) == (made.buckets(), made.total)


def test_of_several_processes() -> None:
    """The histograms of workers are added up, those of ended ones too."""
    one, other = Histogram((1, 2)), Histogram((1, 2))
    one.add(1, 3)
    other.add(1.5)
    other.add(9)
    reports = [[histogram("wait_seconds", "Waits.", [], [([], each)])] for each in (one, other)]
    (family,) = summed([lasting(reports[0]), reports[1]])
    assert family.values == [(["1.0"], 3), (["2.0"], 4), (["+Inf"], 5), (["sum"], 13.5)]
