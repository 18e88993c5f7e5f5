"""Forwarding over loopback, against upstreams that behave as scripted: order, failover, truncation, bounds, times."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import dns.flags
import dns.message
import msgspec
import pytest

from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.zone import JOINED, Forward
from dnsbridge.resolvers.resolver import Pending
from dnsbridge.wire.failure import Failure
from tests.support.driven_loop import clock
from tests.support.forwarding import FAST, ONE, TWO, ask, forwarding, message, option, outcome, run, said, udp, until
from tests.support.scripted_upstream import ADDRESS, Behaviour, Reply, ScriptedUpstream, answer, first, raw, silence

TRUNCATED = answer(flags=dns.flags.TC)
MANY = answer(*[f"@ 60 IN A 192.0.2.{number}" for number in range(60)])
SERVFAIL, REFUSED, NOTIMP, FORMERR, NXDOMAIN = (answer(rcode=code) for code in (2, 5, 4, 1, 3))
CLOSED_PORT = "closed port"


@pytest.mark.parametrize(
    ("scripts", "expected", "asked"),
    [
        ([[ONE], [TWO]], "1", [1, 0]),
        ([[NXDOMAIN], [TWO]], "NXDOMAIN", [1, 0]),
        ([[answer()], [TWO]], "NOERROR", [1, 0]),
        ([[SERVFAIL], [TWO]], "2", [1, 1]),
        ([[REFUSED], [TWO]], "2", [1, 1]),
        ([[NOTIMP], [TWO]], "2", [1, 1]),
        ([[FORMERR], [TWO]], "2", [1, 1]),
        ([[SERVFAIL], [REFUSED]], "REFUSED", [1, 1]),
        ([[SERVFAIL], [silence, TWO]], "SERVFAIL", [1, 1]),
        ([[SERVFAIL]], "SERVFAIL", [1]),
        ([[silence], [TWO]], "2", [1, 1]),
        ([[silence, ONE], [silence]], "1", [2, 1]),
        ([[silence, ONE]], "1", [2]),
        ([[silence, silence, ONE]], "1", [3]),
        ([[silence], [silence]], "UPSTREAM", [3, 3]),
        ([CLOSED_PORT, [TWO]], "2", [0, 1]),
        ([CLOSED_PORT, [SERVFAIL]], "SERVFAIL", [0, 1]),
        ([CLOSED_PORT], "UPSTREAM", [0]),
        ([[answer("@ 60 IN A 192.0.2.1", change=lambda octets: octets[:-3])], [TWO]], "2", [1, 1]),
    ],
)
def test_order_and_failover(scripts: Sequence[Any], expected: str, asked: list[int]) -> None:
    """The upstreams are asked in order until one has an answer; each is asked as often as the table says."""

    async def test() -> None:
        servers = [ScriptedUpstream(*([] if script == CLOSED_PORT else script)) for script in scripts]
        async with forwarding(*servers) as forward:
            for server, script in zip(servers, scripts, strict=True):
                if script == CLOSED_PORT:
                    server.close_udp()
            query = ask()
            assert said(query, await outcome(forward, query)) == expected
            assert [len(server.asked) for server in servers] == asked
            assert forward.in_flight == 0
            # Late replies are waited for as long as any.
            await until(lambda: not any(map(len, forward.attempts)))

    run(test())


def wrong_name(reply: bytes) -> bytes:
    """The reply with another name of the same length in its question."""
    return reply.replace(b"\x03www", b"\x03xxx")


@pytest.mark.parametrize(
    ("forged", "mismatched"),
    [
        (lambda reply: Reply(bytes([reply[0] ^ 1]) + reply[1:]), 1),
        (lambda reply: Reply(wrong_name(reply)), 1),
        (lambda reply: Reply(reply[:2] + bytes([reply[2] & 0x7F]) + reply[3:]), 1),
        (lambda reply: Reply(reply[:2] + bytes([reply[2] | 0x10]) + reply[3:]), 1),
        (lambda reply: Reply(reply[:4] + b"\x00\x02" + reply[6:]), 1),
        (lambda reply: Reply(reply[:20]), 1),
        (lambda reply: Reply(reply[:2]), 1),
        (lambda reply: Reply(b""), 1),
        (lambda reply: Reply(b"\xff" * 600), 1),
        (lambda reply: Reply(reply[:-1] + b"\xff", elsewhere=True), 0),
    ],
    ids=["ID", "name", "query", "opcode", "QDCOUNT", "short", "ID only", "empty", "garbage", "source port"],
)
def test_forged_replies(forged: Callable[[bytes], Reply], mismatched: int) -> None:
    """A reply that does not match is counted, and the true one still taken; the kernel drops other sources."""

    async def test() -> None:
        async with forwarding(ScriptedUpstream(first(forged, ONE)), attempt_timeout=1.0) as forward:
            query = ask()
            assert said(query, await outcome(forward, query)) == "1"
            upstream = udp(forward)
            await until(lambda: upstream.mismatched == mismatched)
            assert (upstream.sent, upstream.received, upstream.timeouts) == (1, 1, 0)

    run(test())


def test_only_forged_replies() -> None:
    """Without a true reply there is no answer, however many forged ones come."""

    async def test() -> None:
        server = ScriptedUpstream(answer("@ 60 IN A 192.0.2.66", change=wrong_name))
        async with forwarding(server) as forward:
            assert await outcome(forward, ask()) is Failure.UPSTREAM
            assert forward.upstreams[0].mismatched == len(server.asked) == 3

    run(test())


SLOW = 3 * FAST
"""A timeout that leaves room for a reply that is late, but comes before the next one, also on a busy machine."""


def test_a_late_reply() -> None:
    """A reply after its attempt's time answers the question if none has; if one has, it is counted, no more."""

    async def test() -> None:
        late = answer("@ 60 IN A 192.0.2.66", delay=1.5 * SLOW)
        async with forwarding(ScriptedUpstream(late, silence, probe=REFUSED), attempt_timeout=SLOW) as forward:
            query = ask()
            assert said(query, await outcome(forward, query)) == "66"
            upstream = forward.upstreams[0]
            assert (upstream.late, upstream.mismatched) == (1, 0)
            await until(lambda: upstream.health.up)
        async with forwarding(
            ScriptedUpstream(late, probe=REFUSED), ScriptedUpstream(TWO), attempt_timeout=SLOW
        ) as forward:
            query = ask()
            assert said(query, await outcome(forward, query)) == "2"
            upstream = forward.upstreams[0]
            await until(lambda: upstream.late == 1)
            assert (upstream.timeouts, upstream.mismatched) == (1, 0)
            await until(lambda: upstream.in_flight == 0)
            await until(lambda: upstream.health.up)

    run(test())


def framed_short(message: bytes) -> bytes:
    """A frame that promises more than it holds."""
    return b"\x01\x00" + message[:20]


@pytest.mark.parametrize(
    ("tcp", "stream", "second", "expected"),
    [
        ([ONE], False, None, "1"),
        ([ONE], True, None, "1"),
        ([MANY], False, None, "TC NOERROR"),
        ([MANY], True, None, " ".join(map(str, range(60)))),
        ([silence], False, [TWO], "TC NOERROR"),
        ([silence], True, [TWO], "2"),
        ([raw(framed_short, unframed=True)], False, [TWO], "TC NOERROR"),
        ([raw(framed_short, unframed=True)], True, [TWO], "2"),
        ([raw(lambda message: b"\xff" * 40)], False, [TWO], "TC NOERROR"),
        ([raw(lambda message: b"\xff" * 40)], True, [TWO], "2"),
        ([answer("@ 60 IN A 192.0.2.66", change=wrong_name)], True, [TWO], "2"),
        ([answer("@ 60 IN A 192.0.2.66", change=lambda octets: bytes([octets[0] ^ 1]) + octets[1:])], True, [TWO], "2"),
        ([SERVFAIL], True, [TWO], "2"),
        ([SERVFAIL], False, [TWO], "2"),
        ([answer("@ 60 IN A 192.0.2.1", delay=0.5)], False, [TWO], "TC NOERROR"),
        ([silence], True, [TRUNCATED], "UPSTREAM"),
    ],
)
def test_truncated_over_udp(tcp: list[Behaviour], stream: bool, second: list[Behaviour] | None, expected: str) -> None:
    """TC makes the question go over TCP; when that fails, UDP clients get TC and TCP clients the next upstream."""

    async def test() -> None:
        servers = [ScriptedUpstream(TRUNCATED, tcp=tcp)] + ([ScriptedUpstream(*second)] if second else [])
        async with forwarding(*servers, deadline=0.3, attempt_timeout=0.3) as forward:
            query = ask(stream=stream)
            assert said(query, await outcome(forward, query)) == expected
            assert servers[0].asked_tcp[0][2:] == servers[0].asked[0][2:]
            assert udp(forward).truncated == len(servers[0].asked)
            assert udp(forward).tcp_fetches == len(servers[0].asked_tcp)

    run(test())


def test_tcp_fetches_are_bounded() -> None:
    """Over the limit of fetches a UDP client gets the truncated reply at once."""

    async def test() -> None:
        server = ScriptedUpstream(TRUNCATED, tcp=[answer("@ 60 IN A 192.0.2.1", delay=5)])
        async with forwarding(server, tcp_limit=1, attempt_timeout=2.0, deadline=5.0) as forward:
            waiting = forward.resolve(ask("a.example"))
            await until(lambda: len(server.asked_tcp) == 1)
            query = ask("b.example")
            assert said(query, await outcome(forward, query)) == "TC NOERROR"
            assert udp(forward).tcp_overloads == 1
            assert isinstance(waiting, Pending)
            assert waiting.outcome is None

    run(test())


@pytest.mark.parametrize("stream", [False, True])
def test_a_large_reply_is_cut_for_its_client(stream: bool) -> None:
    """A reply over the client's limit, which came over TCP, is truncated for a client over UDP."""

    async def test() -> None:
        async with forwarding(ScriptedUpstream(TRUNCATED, tcp=[MANY])) as forward:
            query = ask(stream=stream)
            expected = " ".join(map(str, range(60))) if stream else "TC NOERROR"
            assert said(query, await outcome(forward, query)) == expected

    run(test())


@pytest.mark.parametrize(
    ("name", "rtype", "keywords"),
    [
        ("WwW.eXaMpLe.CoM", "A", {}),
        ("www.example.com", "TYPE65280", {"rdclass": "CLASS300"}),
        ("www.example.com", "A", {"flags": 0}),
        ("www.example.com", "A", {"flags": dns.flags.RD | dns.flags.CD | dns.flags.AD}),
        ("www.example.com", "HTTPS", {"use_edns": 0, "want_dnssec": True, "payload": 4000}),
        ("www.example.com", "A", {"use_edns": 0, "options": [option(65001, b"\xff\x00")]}),
    ],
)
def test_a_question_passes_byte_for_byte(name: str, rtype: str, keywords: dict[str, Any]) -> None:
    """What the upstream gets is the client's message but for the ID, and what comes back spells the name as asked."""

    async def test() -> None:
        server = ScriptedUpstream(answer(change=lambda octets: octets[:12] + octets[12:29].lower() + octets[29:]))
        async with forwarding(server) as forward:
            query = ask(name, rtype, **keywords)
            read = message(query, await outcome(forward, query))
            assert [asked[2:] for asked in server.asked] == [query.message[2:]]
            assert read.question[0].name.to_text() == name + "."
            copied = dns.flags.RD | dns.flags.CD
            assert read.flags & copied == dns.message.from_wire(query.message).flags & copied

    run(test())


def test_cookies_stay_on_their_hop() -> None:
    """A cookie of the client does not reach the upstream, nor one of the upstream the client; other options pass."""

    async def test() -> None:
        cookie, unknown = option(10, b"12345678"), option(65001, b"x")
        server = ScriptedUpstream(answer("@ 60 IN A 192.0.2.1", options=[cookie, unknown]))
        async with forwarding(server) as forward:
            query = ask(use_edns=0, options=[unknown, cookie])
            read = message(query, await outcome(forward, query))
            assert [int(option.otype) for option in read.options] == [65001]
            assert [int(option.otype) for option in dns.message.from_wire(server.asked[0]).options] == [65001]

    run(test())


def test_identical_questions_are_asked_once() -> None:
    """The same octets after the ID share one question; another case, limit or transport does not."""

    async def test() -> None:
        server = ScriptedUpstream(ONE)
        async with forwarding(server, attempt_timeout=1.0) as forward:
            queries = [ask() for _ in range(5)]
            queries += [ask("WWW.example.com"), ask(use_edns=0, payload=1000), ask(stream=True)]
            queries += [msgspec.structs.replace(ask(), limit=600)]
            results = await asyncio.gather(*(outcome(forward, query) for query in queries))
            assert [said(query, got) for query, got in zip(queries, results, strict=True)] == ["1"] * 9
            assert len(server.asked) == 5
            assert forward.coalesced == 4

    run(test())


def test_questions_in_flight_are_bounded() -> None:
    """Over the limit the oldest ends at once and is waited for no more; identical questions may still wait."""

    async def test() -> None:
        server = ScriptedUpstream(silence)
        async with forwarding(server, in_flight_limit=3) as forward:
            waiting = [forward.resolve(ask(f"n{number}.example")) for number in range(4)]
            assert all(isinstance(each, Pending) for each in waiting)
            assert [each.outcome for each in waiting if isinstance(each, Pending)] == [Failure.OVERLOAD, *[None] * 3]
            assert (forward.in_flight, forward.overloads, udp(forward).in_flight) == (3, 1, 3)
            assert forward.resolve(ask("n1.example")) is waiting[1]
            assert [await each for each in waiting[1:] if isinstance(each, Pending)] == [Failure.UPSTREAM] * 3
            assert (forward.in_flight, forward.overloads) == (0, 1)
            assert isinstance(forward.resolve(ask("n3.example")), Pending)

    run(test())


def test_the_oldest_of_many_make_room_together() -> None:
    """One in a hundred of what is in flight ends when there is one too many, so that it is not so with the next."""

    async def test() -> None:
        async with forwarding(ScriptedUpstream(silence), in_flight_limit=200, attempt_timeout=5.0) as forward:
            waiting = [forward.resolve(ask(f"n{number}.example")) for number in range(202)]
            ended = [isinstance(each, Pending) and each.outcome is Failure.OVERLOAD for each in waiting]
            assert ended == [True, True, *[False] * 200]
            assert (forward.in_flight, forward.overloads) == (200, 2)

    run(test())


def test_askers_of_one_question_are_bounded() -> None:
    """A flood of one question does not pile up without end."""

    async def test() -> None:
        async with forwarding(ScriptedUpstream(silence)) as forward:
            query = ask()
            results = [forward.resolve(query) for _ in range(JOINED + 2)]
            assert results[-1] is Failure.OVERLOAD
            assert all(isinstance(result, Pending) for result in results[:-1])

    run(test())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_total_deadline(count: int) -> None:
    """However many upstreams are silent, and with attempts cut off midway, the outcome comes at the deadline."""

    async def test() -> None:
        servers = [ScriptedUpstream(silence) for _ in range(count)]
        async with forwarding(*servers, attempt_timeout=0.08, deadline=0.2) as forward:
            start = clock()
            assert await outcome(forward, ask()) is Failure.UPSTREAM
            assert 0.19 < clock() - start < 0.5

    run(test())


def test_default_times() -> None:
    """With the times that users get, a dead upstream costs under 2.5 seconds, in three attempts."""

    async def test() -> None:
        server = ScriptedUpstream(silence)
        async with server:
            forward = Forward([UdpUpstream(ADDRESS, server.port)])
            start = clock()
            assert await outcome(forward, ask()) is Failure.UPSTREAM
            assert clock() - start < 2.5
            assert len(server.asked) == 3
            await forward.close()

    run(test())


def test_close_ends_what_is_in_flight() -> None:
    """Nobody waits for ever: closing gives all their outcome, over UDP and TCP, and later questions fail at once."""

    async def test() -> None:
        server = ScriptedUpstream(silence, TRUNCATED, tcp=[answer(delay=5)])
        async with forwarding(server, attempt_timeout=5.0, deadline=8.0) as forward:
            waiting = [forward.resolve(ask("a.example")), forward.resolve(ask("b.example"))]
            await until(lambda: len(server.asked_tcp) == 1)
            await forward.close()
            assert [await each for each in waiting if isinstance(each, Pending)] == [Failure.UPSTREAM] * 2
            assert forward.resolve(ask("c.example")) is Failure.UPSTREAM

    run(test())
