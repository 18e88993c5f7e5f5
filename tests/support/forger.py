"""An upstream on loopback beside which somebody forges: replies that are wrong in one field come before each true one.

    FORGERIES   in which field: what of a true reply is changed, and from where to where it is sent
    Forger      the upstream; `with` runs it in a thread

A forged reply is the true one with another address and that one field wrong (RFC 5452 section 9.1). None needs raw
sockets: on the loopback of one machine a forger may use any address and port of it, but for those in use.
"""

import select
import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from ipaddress import IPv4Address
from types import TracebackType

import dns.message
import dns.rrset
import msgspec

from tests.support.scripted_upstream import ADDRESS

OTHER_ADDRESS = "127.0.0.2"
FORGED = IPv4Address("203.0.113.66")
TTL = 3600
_QUESTION_AT = 12
_TYPE_AND_CLASS = 4


class Way(Enum):
    """From where to where a forged reply goes."""

    AS_TRUE = "as the true one"
    OTHER_PORT = "from another port"
    OTHER_ADDRESS = "from another address, the same port"
    OTHER_DESTINATION = "to another port from which questions came"


class Forgery(msgspec.Struct, frozen=True):
    """One field that is wrong."""

    field: str
    change: Callable[[bytes], bytes] = bytes
    way: Way = Way.AS_TRUE

    @property
    def received(self) -> bool:
        """Whether it gets to the program: a connected socket has datagrams from its peer alone."""
        return self.way in (Way.AS_TRUE, Way.OTHER_DESTINATION)


def at(offset: int, octets: bytes) -> Callable[[bytes], bytes]:
    """Other octets in one place."""
    return lambda reply: reply[:offset] + octets + reply[offset + len(octets) :]


def in_question(offset: int, octets: bytes) -> Callable[[bytes], bytes]:
    """Other octets so far behind the name of the question."""

    def change(reply: bytes) -> bytes:
        start = reply.index(0, _QUESTION_AT) + 1 + offset
        return reply[:start] + octets + reply[start + len(octets) :]

    return change


def without_question(reply: bytes) -> bytes:
    """No question, as its count says; the answer's owner is then the root."""
    records = reply[reply.index(0, _QUESTION_AT) + 1 + _TYPE_AND_CLASS :]
    return reply[:4] + b"\0\0" + reply[6:_QUESTION_AT] + records.replace(b"\xc0\x0c", b"\0", 1)


def with_two_questions(reply: bytes) -> bytes:
    """The question twice, as its count says."""
    end = reply.index(0, _QUESTION_AT) + 1 + _TYPE_AND_CLASS
    return reply[:4] + b"\0\x02" + reply[6:end] + reply[_QUESTION_AT:end] + reply[end:]


FORGERIES = (
    Forgery("source port", way=Way.OTHER_PORT),
    Forgery("source address", way=Way.OTHER_ADDRESS),
    Forgery("destination port", way=Way.OTHER_DESTINATION),
    Forgery("ID", lambda reply: bytes([reply[0], reply[1] ^ 1]) + reply[2:]),
    Forgery("QR", lambda reply: reply[:2] + bytes([reply[2] & 0x7F]) + reply[3:]),
    Forgery("opcode", lambda reply: reply[:2] + bytes([reply[2] | 0x10]) + reply[3:]),
    Forgery("QDCOUNT 0", at(4, b"\0\0")),
    Forgery("QDCOUNT 2", at(4, b"\0\x02")),
    Forgery("no question", without_question),
    Forgery("two questions", with_two_questions),
    Forgery("first label", lambda reply: reply[:13] + bytes([reply[13] ^ 1]) + reply[14:]),
    Forgery("name one label longer", lambda reply: reply[:12] + b"\x01x" + reply[12:]),
    Forgery("type", in_question(0, b"\0\x1c")),
    Forgery("class", in_question(2, b"\0\x03")),
)


class Forger:
    """The upstream; every name that is asked of it has one address. What it counts may be read at any time."""

    def __init__(self, address_of: Callable[[dns.message.Message], IPv4Address]) -> None:
        """`address_of` a question is the true address."""
        self.forgeries: Sequence[Forgery] = ()
        """What is sent before each true reply, in this order."""
        self.silent = False
        self.asked = 0
        self.forged: Counter[str] = Counter()
        """Forged replies sent, by field."""
        self.port = 0
        self._address_of = address_of
        self._ports: dict[int, None] = {}
        """From where questions came, in that order."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Forger":
        self._true, self._elsewhere, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3))
        self._other_address = other
        self._true.bind((ADDRESS, 0))
        self.port = self._true.getsockname()[1]
        self._elsewhere.bind((ADDRESS, 0))
        other.bind((OTHER_ADDRESS, self.port))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for each in (self._true, self._elsewhere, self._other_address):
            each.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            if select.select([self._true], [], [], 0.05)[0]:
                message, client = self._true.recvfrom(65535)
                self.asked += 1
                if not self.silent:
                    self._answer(message, client)

    def _answer(self, message: bytes, client: tuple[str, int]) -> None:
        query = dns.message.from_wire(message)
        response = dns.message.make_response(query, recursion_available=True)
        address = self._address_of(query)
        response.answer.append(dns.rrset.from_text(query.question[0].name, TTL, "IN", "A", str(address)))
        true = response.to_wire()
        forged = true.replace(address.packed, FORGED.packed)
        made: dict[str, bytes] = {}
        for forgery in self.forgeries:
            octets = made.get(forgery.field)
            if octets is None:
                octets = made[forgery.field] = forgery.change(forged)
            self._forge(forgery, octets, client)
        self._ports[client[1]] = None
        self._true.sendto(true, client)

    def _forge(self, forgery: Forgery, octets: bytes, client: tuple[str, int]) -> None:
        sender, receiver = self._true, client
        if forgery.way is Way.OTHER_PORT:
            sender = self._elsewhere
        elif forgery.way is Way.OTHER_ADDRESS:
            sender = self._other_address
        elif forgery.way is Way.OTHER_DESTINATION:
            other = next((port for port in reversed(self._ports) if port != client[1]), 0)
            if not other:
                return
            receiver = (client[0], other)
        sender.sendto(octets, receiver)
        self.forged[forgery.field] += 1
