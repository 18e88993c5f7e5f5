"""Names in random case, against upstreams that keep it, fold it, or do both; forged replies must guess it."""

from collections.abc import Sequence

import dns.message
import pytest

from dnsbridge.resolvers.forward.answer_table import CacheStore
from dnsbridge.resolvers.forward.cached_zone import Cached
from dnsbridge.resolvers.forward.udp import FOLDED_TO_BELIEVE
from dnsbridge.resolvers.resolver import Pending
from tests.support.caching import words
from tests.support.forwarding import ONE, TWO, ask, forwarding, option, outcome, run, said, udp
from tests.support.scripted_upstream import Behaviour, Reply, ScriptedUpstream, answer, first, silence

NAME = "a-name-with-many-letters.in-a-zone-with-more.example.com"
END = 12 + len(NAME) + 2


def fold(octets: bytes) -> bytes:
    """The reply with its question in lower case, as some servers send it."""
    return octets[:12] + octets[12:END].lower() + octets[END:]


FOLDED_ONE = answer("@ 60 IN A 192.0.2.1", change=fold)
FORGED = answer("@ 60 IN A 192.0.2.66", change=fold)


def forged_then(true: Behaviour) -> Behaviour:
    """A forged reply in lower case right before another."""

    def behave(message: bytes) -> Sequence[Reply]:
        return [*FORGED(message), *true(message)]

    return behave


def test_what_is_asked_and_what_comes_back() -> None:
    """The upstream sees the name in a case of our own, another each time; the client its own."""

    async def test() -> None:
        server = ScriptedUpstream(ONE)
        async with forwarding(server, random_case=True) as forward:
            client = NAME.title()
            for _ in range(4):
                query = ask(client, use_edns=0, options=[option(65001, b"x")])
                assert said(query, await outcome(forward, query)) == "1"
                assert query.name in query.message
            names = [str(dns.message.from_wire(asked).question[0].name) for asked in server.asked]
            assert len(set(names)) == 4
            assert all(name.lower() == f"{NAME}." and name != f"{NAME}." for name in names)
            assert (udp(forward).exact, udp(forward).folded, server.asked_tcp) == (4, 0, [])

    run(test())


def test_the_cache_keeps_one_answer_for_all_cases() -> None:
    """Each client gets its own case, from one question at the upstream."""

    async def test() -> None:
        server = ScriptedUpstream(ONE)
        async with forwarding(server, random_case=True) as forward:
            cached = Cached(forward, CacheStore(10), lambda: 5, serve_stale=0, prefetch=False)
            for client in (NAME, NAME.upper(), NAME.title()):
                query = ask(client)
                got = cached.resolve(query)
                assert words(query, await got if isinstance(got, Pending) else got) == "1/60"
            assert len(server.asked) == 1

    run(test())


@pytest.mark.parametrize("through_cache", [False, True])
def test_a_forged_reply_in_another_case(through_cache: bool) -> None:
    """It is not taken: the true one that follows is, or the one over TCP if that is faster."""

    async def test() -> None:
        server = ScriptedUpstream(ONE, forged_then(ONE), forged_then(silence), tcp=[TWO])
        async with forwarding(server, random_case=True, attempt_timeout=1.0) as forward:
            cached = Cached(forward, CacheStore(10), lambda: 5, serve_stale=0, prefetch=False)
            for expected in ("1", "1", "2"):
                query = ask(f"{expected}{len(server.asked)}.{NAME[3:]}")
                got = cached.resolve(query) if through_cache else await outcome(forward, query)
                assert said(query, await got if isinstance(got, Pending) else got) == expected
            assert udp(forward).folded == 2

    run(test())


def test_a_server_that_folds_case() -> None:
    """The first replies are asked for again over TCP, until it is clear that it knows no better."""

    async def test() -> None:
        server = ScriptedUpstream(FOLDED_ONE, tcp=[TWO])
        async with forwarding(server, random_case=True) as forward:
            for number in range(6):
                query = ask(f"{number}{NAME[1:]}")
                believed = number >= FOLDED_TO_BELIEVE - 1
                assert said(query, await outcome(forward, query)) == ("1" if believed else "2")
            assert len(server.asked_tcp) == FOLDED_TO_BELIEVE - 1

    run(test())


def test_a_server_that_folds_case_without_tcp() -> None:
    """Where TCP gives nothing, the question goes on to the next upstream as if there had been no reply."""

    async def test() -> None:
        folding = ScriptedUpstream(FOLDED_ONE, tcp=[silence])
        async with forwarding(folding, ScriptedUpstream(TWO), random_case=True) as forward:
            query = ask(NAME)
            assert said(query, await outcome(forward, query)) == "2"

    run(test())


def test_a_server_that_kept_case_before() -> None:
    """Its folded replies are never taken without TCP: somebody else may have sent them."""

    async def test() -> None:
        server = ScriptedUpstream(ONE, FOLDED_ONE, tcp=[TWO])
        async with forwarding(server, random_case=True) as forward:
            for number in range(2 * FOLDED_TO_BELIEVE):
                query = ask(f"{number}{NAME[1:]}")
                assert said(query, await outcome(forward, query)) == ("1" if number == 0 else "2")

    run(test())


def test_case_does_not_matter_unless_asked_for() -> None:
    """Without the setting a reply in any case is taken."""

    async def test() -> None:
        server = ScriptedUpstream(first(lambda true: Reply(bytes(2) + true[2:]), FOLDED_ONE), tcp=[TWO])
        async with forwarding(server) as forward:
            query = ask(NAME.upper())
            assert said(query, await outcome(forward, query)) == "1"
            assert (udp(forward).mismatched, udp(forward).folded) == (1, 0)

    run(test())
