"""Whose turn it is to read a list; the clock is the loop's own, and passes only while all wait."""

import asyncio

import pytest

from dnsbridge.watch.api.turns import STANDSTILL, Turns
from tests.watch.conftest import Run


class Lists:
    """Lists that run for a while, and when each began and ended."""

    def __init__(self, one_at_a_time: bool) -> None:
        self.turns = Turns()
        self.turns.one_at_a_time = one_at_a_time
        self.began: dict[str, float] = {}
        self.most = 0
        self._running = 0
        self._started = asyncio.get_running_loop().time()

    async def read(self, name: str, seconds: float, progress: bool = True) -> None:
        """One list; it is required when its name is in capitals."""
        async with self.turns.take(name.isupper()) as turn:
            self.began[name] = round(asyncio.get_running_loop().time() - self._started, 3)
            self._running += 1
            self.most = max(self.most, self._running)
            end = asyncio.get_running_loop().time() + seconds
            while (now := asyncio.get_running_loop().time()) < end:
                await asyncio.sleep(min(STANDSTILL / 2, end - now) if progress else end - now)
                if progress:
                    turn.progress()
            self._running -= 1


@pytest.mark.parametrize(
    ("one_at_a_time", "began", "most"),
    [(False, {"a": 0, "B": 0, "c": 0, "D": 0}, 4), (True, {"a": 0, "B": 2, "D": 4, "c": 6}, 1)],
)
def test_order(in_no_time: Run, one_at_a_time: bool, began: dict[str, float], most: int) -> None:
    """Before any trouble all at once; then one at a time, those that are required first, in their order."""

    async def work() -> None:
        lists = Lists(one_at_a_time)
        await asyncio.gather(*[lists.read(name, 2) for name in ("a", "B", "c", "D")])
        assert lists.began == began
        assert lists.most == most

    in_no_time(work())


def test_standstill(in_no_time: Run) -> None:
    """A list that hangs is no reason to wait; it neither ends for that nor counts again when it goes on."""

    async def work() -> None:
        lists = Lists(True)
        hanging = asyncio.create_task(lists.read("A", 60, progress=False))
        await asyncio.gather(lists.read("B", 2), lists.read("C", 2))
        assert lists.began == {"A": 0, "B": STANDSTILL, "C": STANDSTILL + 2}
        assert not hanging.done()
        await hanging
        await lists.read("D", 1)
        assert lists.most == 2

    in_no_time(work())


def test_cancelled(in_no_time: Run) -> None:
    """Whoever is cancelled, before, while or just when its turn comes, takes nobody's turn away."""

    async def work() -> None:
        lists = Lists(True)
        tasks = {name: asyncio.create_task(lists.read(name, 2)) for name in ("A", "B", "C")}
        await asyncio.sleep(1)  # delay: of a driven clock
        tasks["B"].cancel()
        await asyncio.sleep(0)
        tasks["A"].cancel()
        await asyncio.sleep(0)
        tasks["C"].cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        await lists.read("D", 1)
        assert "B" not in lists.began
        assert lists.began["D"] == 1

    in_no_time(work())
