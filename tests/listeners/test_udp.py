"""A UDP listener with more questions in its socket than it can answer.

Its sockets are real. What is made up is the resolver (names below `own` are answered at once, others when the test says
so) and the moment from which on the socket is behind.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from ipaddress import ip_network

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from dnsbridge.listeners.access import Access, packed
from dnsbridge.listeners.admission import Admission
from dnsbridge.listeners.datagrams import SIZE as BATCH
from dnsbridge.listeners.datagrams import SLOT
from dnsbridge.listeners.fairness import Waiting
from dnsbridge.listeners.overload import Overload, Queue
from dnsbridge.listeners.responder import Responder
from dnsbridge.listeners.response_rate import ResponseRate
from dnsbridge.listeners.udp import MAX_OTHERS, UdpListener
from dnsbridge.listeners.udp_socket import open_socket, queue
from dnsbridge.observe.counters import Counters
from dnsbridge.resolvers.prepared import Prepared
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from tests.support.forwarding import run, until

GREEDY, QUIET, DENIED = "127.0.0.1", "127.0.0.2", "127.9.0.1"
ALLOWED = [ip_network("127.0.0.0/16")]
READY = dns.message.make_query("ready.example", "A").to_wire()[2:]
IPV4 = ("127.0.0.1", "0.0.0.0")


class Resolver:
    """Answers at once what is at hand, and the rest when told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Query, Pending]] = []

    def resolve(self, query: Query) -> Outcome | Pending:
        """See resolvers.resolver."""
        if at_hand(query.message):
            return answer(query)
        self.waiting.append((query, Pending()))
        return self.waiting[-1][1]

    def settle(self) -> None:
        """Answer all that wait."""
        waiting, self.waiting = self.waiting, []
        for query, pending in waiting:
            pending.settle(answer(query))


def answer(query: Query) -> Answer:
    """An answer with one record, by dnspython."""
    response = dns.message.make_response(dns.message.from_wire(query.message))
    response.answer.append(dns.rrset.from_text(response.question[0].name, 5, "IN", "A", "192.0.2.1"))
    return Answer(response.to_wire()[2:])


def at_hand(message: bytes) -> bool:
    """Whether a name is below `own`."""
    return b"\x03own\x00" in message


class BehindAtOnce(Overload):
    """A socket is behind when it was not found empty, until nothing is shed."""

    def falls_behind(self, now: float, queue: Callable[[], Queue]) -> bool:
        """See Overload."""
        return queue().octets > 0

    def catches_up(self, now: float, shed: bool) -> bool:
        """See Overload."""
        return not shed


class Setting:
    """A listener and its clients."""

    def __init__(self, address: str, waiting: Waiting, per_second: int, limited: bool) -> None:
        self.resolver = Resolver()
        self.counters = Counters()
        self.waiting = waiting
        prepared = Prepared()
        prepared.put(READY, Answer(answer_to(b"\0\0" + READY), expires=1))
        self.responder = Responder(self.resolver, prepared, self.counters, 10)
        self.socket = open_socket(socket.AF_INET, address, 0)
        self.port = self.socket.getsockname()[1]
        rate = ResponseRate(per_second)
        access = Access(ALLOWED, () if limited else ALLOWED)
        self.listener = UdpListener(
            self.socket,
            self.responder,
            Admission(access, False, rate, waiting, at_hand, (b"\x03own\0",)),
            BehindAtOnce(),
        )
        self.sent: Counter[str] = Counter()
        self._clients: dict[str, socket.socket] = {}
        self._opened = ExitStack()

    def ask(self, client: str, name: str) -> None:
        """Send a question from an address."""
        if client not in self._clients:
            opened = self._opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            opened.bind((client, 0))
            opened.connect(("127.0.0.1", self.port))
            opened.setblocking(False)
            self._clients[client] = opened
        self.sent[client] += 1
        octets = READY if name == "ready" else dns.message.make_query(name, "A").to_wire()[2:]
        self._clients[client].send((self.sent[client] & 0xFFFF).to_bytes(2, "big") + octets)

    async def answers(self, client: str) -> list[str]:
        """First labels of the names that were answered so far, with what is said beside the record."""
        await asyncio.sleep(0)  # answers leave at the end of a turn of the event loop
        found = []
        try:
            while True:
                response = dns.message.from_wire(self._clients[client].recv(4096))
                label = response.question[0].name.labels[0].decode()
                said = "TC" if response.flags & dns.flags.TC else dns.rcode.to_text(response.rcode())
                found.append(label if response.answer else f"{label} {said}")
        except BlockingIOError:
            return found

    async def all_read(self) -> None:
        """Wait until the listener has taken all questions from its socket."""
        await until(lambda: self.counters.traffic("udp", "ipv4").received == self.sent.total())
        await asyncio.sleep(0)

    def close(self) -> None:
        """Close the clients' sockets."""
        self._opened.close()


def answer_to(message: bytes) -> bytes:
    """The body of the prepared answer."""
    response = dns.message.make_response(dns.message.from_wire(message))
    response.answer.append(dns.rrset.from_text("ready.example.", 5, "IN", "A", "192.0.2.2"))
    return response.to_wire()[2:]


@asynccontextmanager
async def setting(
    address: str = "127.0.0.1", limit: int = 10_000, per_second: int = 1, limited: bool = False
) -> AsyncIterator[Setting]:
    """A listener that has not begun to answer."""
    made = Setting(address, Waiting(limit), per_second, limited)
    try:
        yield made
    finally:
        made.resolver.settle()
        await made.listener.stop(5)
        made.close()


@pytest.mark.parametrize("address", IPV4)
def test_what_is_answered_of_a_flood(address: str) -> None:
    """All prepared answers, all names at hand, all of the quiet client; of the flood as much as there is time for."""

    async def test() -> None:
        async with setting(address) as made:
            flood = MAX_OTHERS + BATCH
            for number in range(flood):
                made.ask(GREEDY, f"flood{number}.example")
                if number % 20 == 0:
                    made.ask(QUIET, f"quiet{number}.example")
                    made.ask(GREEDY, "ready")
                    made.ask(GREEDY, f"name{number}.own")
            assert queue(made.socket).octets > made.sent.total() * len(READY)
            made.listener.start()
            await made.all_read()
            made.resolver.settle()
            await until(lambda: made.waiting.total == 0)
            greedy = Counter(name.rstrip("0123456789") for name in await made.answers(GREEDY))
            assert greedy["ready"] == greedy["name"] == len(await made.answers(QUIET)) == len(range(0, flood, 20))
            assert made.counters.udp_shed == flood - greedy["flood"] > 0
            # Most of a batch before it is behind, and what there is room for in each turn after.
            assert greedy["flood"] >= BATCH
            assert made.counters.udp_behind == 1

    run(test())


@pytest.mark.parametrize("address", IPV4)
def test_a_burst_after_it_is_answered_to_the_end(address: str) -> None:
    """The socket is drained as before when nothing had to be shed."""

    async def test() -> None:
        async with setting(address) as made:
            for number in range(MAX_OTHERS + 3 * BATCH):
                made.ask(GREEDY, f"flood{number}.example")
            made.listener.start()
            await made.all_read()
            shed = made.counters.udp_shed
            assert shed > 0
            made.ask(GREEDY, "calm.example")
            await made.all_read()
            made.resolver.settle()
            await made.answers(GREEDY)
            made.listener._overload = Overload()
            for number in range(MAX_OTHERS):
                made.ask(GREEDY, f"burst{number}.example")
            await made.all_read()
            made.resolver.settle()
            names = Counter(name.rstrip("0123456789") for name in await made.answers(GREEDY))
            assert names["burst"] == MAX_OTHERS
            assert made.counters.udp_shed == shed

    run(test())


@pytest.mark.parametrize("address", IPV4)
def test_a_prepared_answer_that_is_long(address: str) -> None:
    """It is sent like all others, also while the socket is behind, and is nothing that is shed."""

    async def test() -> None:
        async with setting(address) as made:
            question = dns.message.make_query("long.example", "A").to_wire()[2:]
            made.responder.prepared.put(question, Answer(question + bytes(SLOT), expires=1))
            for number in range(MAX_OTHERS + BATCH):
                made.ask(GREEDY, f"flood{number}.example")
            made.listener._admission.access.client(packed(QUIET))  # it has asked before
            made.ask(QUIET, "ready")
            made._clients[QUIET].send(b"id" + question)
            made.sent[QUIET] += 1
            made.listener.start()
            await made.all_read()
            assert made.counters.udp_behind == 1
            came: list[bytes] = []

            def both() -> bool:
                with suppress(BlockingIOError):
                    came.append(made._clients[QUIET].recv(2 * SLOT))
                return len(came) == 2

            await until(both)
            assert max(came, key=len) == b"id" + question + bytes(SLOT)
            assert made.counters.prepared_hits == 2

    run(test())


def test_who_may_not_ask_has_no_turn() -> None:
    """A flood from addresses outside the access list takes nothing from those inside."""

    async def test() -> None:
        async with setting() as made:
            for number in range(MAX_OTHERS + BATCH):
                made.ask(f"127.9.0.{number % 200 + 1}", "denied.example")
                if number % 8 == 0:
                    made.ask(QUIET, f"quiet{number}.example")
            made.listener.start()
            await made.all_read()
            made.resolver.settle()
            assert len(await made.answers(QUIET)) == made.sent[QUIET]
            assert made.counters.client_denied == made.sent.total() - made.sent[QUIET]

    run(test())


def test_no_client_holds_all_that_may_wait() -> None:
    """The greedy one has its share and is answered at once what is at hand; the quiet one finds room."""

    async def test() -> None:
        async with setting(limit=50) as made:
            made.listener.start()
            for number in range(BATCH - 10):
                made.ask(GREEDY, f"slow{number}.example")
            await made.all_read()
            assert (made.waiting.total, made.counters.udp_overloads) == (40, BATCH - 10 - 40)
            for number in range(5):
                made.ask(QUIET, f"quiet{number}.example")
                made.ask(GREEDY, f"name{number}.own")
            await made.all_read()
            assert made.waiting.total == 45
            assert len(await made.answers(GREEDY)) == 5
            made.resolver.settle()
            assert (len(await made.answers(GREEDY)), len(await made.answers(QUIET))) == (40, 5)
            assert made.waiting.total == 0

    run(test())


LIMITED = [
    ("prepared", GREEDY, "ready", ["ready", "ready", "ready TC"]),
    ("at hand", GREEDY, "name.own", ["name", "name", "name TC"]),
    ("refused", DENIED, "name.own", ["name REFUSED", "name REFUSED", "name TC"]),
]


@pytest.mark.parametrize(("client", "name", "said"), [case[1:] for case in LIMITED], ids=[case[0] for case in LIMITED])
def test_limited_responses(client: str, name: str, said: list[str]) -> None:
    """Two a second, then one without data, then none; all are counted."""

    async def test() -> None:
        async with setting(per_second=2, limited=True) as made:
            made.listener.start()
            for _ in range(4):
                made.ask(client, name)
            await made.all_read()
            assert await made.answers(client) == said
            assert (made.counters.responses_truncated, made.counters.responses_dropped) == (1, 1)
            assert sum(made.counters.by_source().values()) - made.counters.responses_dropped == len(said)
            assert made.waiting.total == 0

    run(test())


def test_an_error_is_no_reason_to_hold_room() -> None:
    """What fails at once, and what gets no answer at all, does not wait."""

    async def test() -> None:
        async with setting() as made:
            made.listener.start()
            made.resolver.resolve = lambda query: Failure.UPSTREAM  # type: ignore[method-assign]
            made.ask(GREEDY, "fails.example")
            await made.all_read()
            assert await made.answers(GREEDY) == ["fails SERVFAIL"]
            made._clients[GREEDY].send(b"short")
            made.sent[GREEDY] += 1
            await made.all_read()
            assert made.counters.ignored == {"short": 1}
            assert made.waiting.total == 0

    run(test())
