"""Which questions are drawn: each with the same chance, however batches fall."""

import random

import pytest

from dnsbridge.listeners.sampling import Sampler
from dnsbridge.observe.exchange import Exchange
from dnsbridge.observe.recorder import Recorder, Wrote


class Nowhere:
    """A destination that is never written to."""

    def write(self, exchanges: list[Exchange]) -> Wrote:
        """See Destination."""
        raise AssertionError

    def close(self) -> None:
        """See Destination."""


RECORDER = Recorder("one", "nowhere", Nowhere())


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("sample", [1, 2, 100])
def test_one_of_many(batch: int, sample: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many questions the share is right, and no place in a batch is favoured."""
    monkeypatch.setattr(random, "random", random.Random(1).random)
    sampler = Sampler(RECORDER, sample)
    questions = 200_000 // batch * batch
    drawn = [start + number for start in range(0, questions, batch) for number in sampler.of(batch)]
    assert len(drawn) == len(set(drawn))
    assert len(drawn) == pytest.approx(questions / sample, rel=0.05)
    in_front = sum(number % batch < (batch + 1) // 2 for number in drawn)
    assert in_front / len(drawn) == pytest.approx((batch + 1) // 2 / batch, abs=0.05)
