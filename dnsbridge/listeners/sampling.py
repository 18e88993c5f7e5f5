"""Which questions are recorded: one of so many, drawn at random, and what becomes of these."""

import random
import time

from msgspec import Struct

from dnsbridge.observe.exchange import Exchange
from dnsbridge.observe.recorder import Recorder


class Sampler:
    """Draws the questions for one recorder, as numbers of a batch; the mean distance of two is `sample`."""

    def __init__(self, recorder: Recorder, sample: int) -> None:
        self.recorder = recorder
        self._widest = 2 * sample - 1
        self.pass_by = self._gap() - 1
        """How many questions pass until the next one that is drawn."""

    def of(self, count: int) -> list[int]:
        """The numbers drawn of the next so many questions, counted from 0."""
        following = self.pass_by
        drawn = []
        while following < count:
            drawn.append(following)
            following += self._gap()
        self.pass_by = following - count
        return drawn

    def _gap(self) -> int:
        return 1 + int(random.random() * self._widest)


class Drawn(Struct, gc=False):
    """A question that was drawn, and who wants to know of it."""

    asked_at: int
    """Unix nanoseconds."""
    query: bytes
    recorders: list[Recorder]

    def answered(self, stream: bool, client: tuple[bytes, int], server: tuple[bytes, int], response: bytes) -> None:
        """Its answer goes out now; addresses are packed, with ports, and an empty one is unknown."""
        exchange = Exchange(stream, *client, *server, self.asked_at, self.query, time.time_ns(), response)
        for recorder in self.recorders:
            recorder.put(exchange)
