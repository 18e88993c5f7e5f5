"""One sink kept at the wanted set, by a sink that fails as it is told, and leads only when it may."""

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network

import pytest

from dnsbridge.routes.model import Failure, NextHop, Reached, Route
from dnsbridge.routes.sink import Held, SinkProblem
from dnsbridge.sinks.mass_change import Removals
from dnsbridge.sinks.reconcile import Reconciler
from tests.support.driven_loop import pass_time, run_driven
from tests.support.waiting import until


def route(number: int) -> Route:
    """A route to 10.N.0.0/16."""
    return Route(ip_network(f"10.{number}.0.0/16"), (NextHop(ip_address("10.0.0.1")),))


ONE, TWO, THREE = (route(number) for number in (1, 2, 3))


class ScriptedSink:
    """Has what it is given, unless it is told to fail."""

    name = "scripted"
    exclusive = True

    def __init__(self) -> None:
        self.own: tuple[Route, ...] = ()
        self.problem = ""
        self.refuses: set[Route] = set()
        self.applied = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def held(self) -> Held:
        return Held(self.own)

    async def apply(self, routes: Sequence[Route]) -> Reached:
        self.applied += 1
        await self.hold.wait()
        if self.problem:
            raise SinkProblem(self.problem)
        self.own = tuple(each for each in routes if each not in self.refuses)
        return Reached(self.own, tuple(Failure(each.prefix, "refused") for each in routes if each in self.refuses))

    async def withdraw(self) -> Reached:
        self.own = ()
        return Reached()

    async def close(self) -> None: ...


class Soon:
    """Tries again at once."""

    def delay(self) -> float:
        return 0.001

    def succeeded(self) -> None: ...


def scenario(test: Callable[[ScriptedSink, Reconciler], object], leads: bool = True) -> None:
    """Run one with a reconciler at work."""

    async def work() -> None:
        sink = ScriptedSink()
        reconciler = Reconciler(sink, Soon(), Removals(), leads)
        task = asyncio.create_task(reconciler.run())
        try:
            await test(sink, reconciler)  # type: ignore[misc]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    run_driven(work())


def test_the_newest_set_counts() -> None:
    """Sets that come while the sink is busy are skipped but for the last."""

    async def test(sink: ScriptedSink, reconciler: Reconciler) -> None:
        sink.hold.clear()
        reconciler.want((ONE,))
        await until(lambda: sink.applied == 1)
        reconciler.want((ONE, TWO))
        reconciler.want((ONE, TWO, THREE))
        sink.hold.set()
        await until(lambda: sink.own == (ONE, TWO, THREE))
        assert sink.applied == 2

    scenario(test)


def test_what_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """A sink that cannot work, and one that refuses a route, are tried until all is there."""

    async def test(sink: ScriptedSink, reconciler: Reconciler) -> None:
        sink.problem = "no such program"
        reconciler.want((ONE, TWO))
        await until(lambda: sink.applied > 2)
        assert reconciler.problem == "no such program"
        assert (reconciler.wanted, reconciler.has) == (2, 0)
        sink.problem, sink.refuses = "", {TWO}
        await until(lambda: reconciler.problem == "1 routes failed")
        assert (reconciler.wanted, reconciler.has) == (2, 1)
        assert [failure.prefix for failure in reconciler.failures] == [TWO.prefix]
        sink.refuses = set()
        await until(lambda: sink.own == (ONE, TWO) and not reconciler.problem)
        assert (reconciler.has, reconciler.failures) == (2, ())
        sink.problem = "gone"
        reconciler.check()
        await until(lambda: reconciler.problem == "gone")
        assert reconciler.has == 0

    scenario(test)
    assert "no such program" in caplog.messages  # which names the sink itself


def test_a_refused_change_keeps_the_old_set() -> None:
    """A change that needs a person is not made; when one has made it elsewhere, or the set is another, all goes on."""
    many = tuple(map(route, range(1, 14)))

    async def test(sink: ScriptedSink, reconciler: Reconciler) -> None:
        reconciler.want(many)
        await until(lambda: sink.own == many)
        reconciler.want(many[:2])
        await until(lambda: reconciler.problem.startswith("11 of its 13 routes would go at once, so nothing"))
        assert (sink.own, sink.applied) == (many, 1)
        assert (reconciler.refused, reconciler.wanted, reconciler.has) == (True, 2, 13)
        sink.own = many[:2]
        reconciler.check()
        await until(lambda: not reconciler.problem)
        assert not reconciler.refused
        reconciler.want(many[:1])
        await until(lambda: sink.own == many[:1] and not reconciler.problem)

    scenario(test)


def test_many_small_steps_are_one_mass_change() -> None:
    """A set that shrinks object by object stops at half of what it was a minute ago. What came meanwhile may go, and in
    minutes all may."""
    many = tuple(map(route, range(1, 14)))

    async def test(sink: ScriptedSink, reconciler: Reconciler) -> None:
        reconciler.want(many)
        await until(lambda: sink.own == many)
        for left in range(12, 6, -1):
            reconciler.want(many[:left])
            await until(lambda left=left: sink.own == many[:left])  # type: ignore[misc]
        for left in range(6, 2, -1):
            reconciler.want(many[:left])
        await until(lambda: "4 of its 7 routes would go at once after 6 that went" in reconciler.problem)
        await pass_time(3600)
        reconciler.check()
        reconciler.want(many[:4])
        await until(lambda: "3 of its 7 routes would go at once after 6 that went" in reconciler.problem)
        assert sink.own == many[:7]
        reconciler.want(many)
        await until(lambda: sink.own == many and not reconciler.problem)
        more = (*many, *map(route, range(14, 40)))
        for wanted in (more, many):
            reconciler.want(wanted)
            await until(lambda wanted=wanted: sink.own == wanted)  # type: ignore[misc]
        for left in range(12, 0, -1):
            await pass_time(61)
            reconciler.want(many[:left])
            await until(lambda left=left: sink.own == many[:left])  # type: ignore[misc]

    scenario(test)


def test_only_the_leader_drives() -> None:
    """Nothing is done before it leads; losing stops it in the middle; routes stay until it is to make way."""

    async def test(sink: ScriptedSink, reconciler: Reconciler) -> None:
        reconciler.want((ONE,))
        await pass_time(3600)
        assert (sink.applied, reconciler.wanted) == (0, 0)
        await reconciler.make_way()
        reconciler.lead()
        await until(lambda: sink.own == (ONE,))
        sink.hold.clear()
        reconciler.want((ONE, TWO))
        await until(lambda: sink.applied == 2)
        await reconciler.stop_leading()
        sink.hold.set()
        reconciler.want((TWO,))
        await pass_time(3600)
        assert (sink.own, sink.applied) == ((ONE,), 2)
        assert (reconciler.wanted, reconciler.has) == (0, 1)
        await reconciler.make_way()
        assert (sink.own, reconciler.has) == ((), 0)
        reconciler.lead()
        await until(lambda: sink.own == (TWO,))
        await reconciler.make_way()
        assert sink.own == (TWO,)

    scenario(test, leads=False)
