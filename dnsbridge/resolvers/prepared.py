"""Prepared answers: a table from the octets of a question after its ID to the body of its answer.

The hot path is one lookup in `answers`. The key covers flags, name, type and EDNS, so nothing is parsed. The key is in
canonical form (see wire.canonical), so a question in mixed case, or with a DNS cookie, costs only a second lookup.

* A change drops the answers that it touches, by the zone's keys (see zone.index), positive and negative alike.
* A question gets a prepared answer when it comes a second time, so questions that never come back (random names) cannot
  push out the popular ones.
* A forwarded answer is kept until the second in which it expires. Its TTLs are counted down once a second.
* Both tables are bounded, and the oldest prepared answer makes room for the newest. cachetools has no table that does
  this at the price of a dict: a lookup in its LRUCache costs about five times as much.
"""

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice

from dnsbridge.resolvers.resolver import Answer
from dnsbridge.wire.canonical import as_asked, canonical
from dnsbridge.wire.compose import Body, Varying, weight
from dnsbridge.zone.index import EVERYTHING

EXPIRED_AT_ONCE = 2000
"""Answers that one call of `expire` forgets at most: many may expire in the same second."""
MAX_ANSWERS = 100_000
MAX_OCTETS = 64 << 20
"""Octets of questions and answers; an answer can be as large as a client accepts."""
MAX_SEEN = 100_000

STREAM = b"tcp"
"""Prefix of the keys of answers over TCP: an answer over UDP may be cut short to what the client accepts."""

Found = tuple[bytes, int]
"""The octets of an answer, and what it is counted by."""
Key = tuple[str, bytes]
"""A cluster's name, and a key of its zone."""


class Prepared:
    """The table of prepared answers."""

    def __init__(self, max_answers: int = MAX_ANSWERS, max_seen: int = MAX_SEEN, max_octets: int = MAX_OCTETS) -> None:
        # Unlike a dict, this finds its first entry at once, however many entries were removed from its front.
        self.answers: OrderedDict[bytes, Body] = OrderedDict()
        self.evicted = 0
        self.dropped = 0
        self.octets = 0
        self.kinds: dict[bytes, int] = {}
        """What each answer is counted by (see observe.counters)."""
        self._weights: dict[bytes, int] = {}
        self._max_octets = max_octets
        self._max_answers = max_answers
        self._max_seen = max_seen
        self._depends: dict[bytes, tuple[Key, ...]] = {}
        self._questions: dict[Key, dict[bytes, None]] = {}
        """The inner dicts serve as sets: the garbage collector need not walk them, as it would walk a set."""
        self._expires: dict[bytes, int] = {}
        self._expiring: dict[int, set[bytes]] = {}
        self._seen: set[int] = set()
        self._second = 0
        self._of_this_second: dict[bytes, Varying] = {}
        """The varying bodies whose octets stand in `answers` for the rest of this second."""

    def wants(self, question: bytes) -> bool:
        """Whether a canonical question has come before, so that its answer is worth keeping."""
        mark = hash(question)
        if mark in self._seen:
            return True
        if len(self._seen) >= self._max_seen:
            self._seen.clear()
        self._seen.add(mark)
        return False

    def put(self, question: bytes, answer: Answer, kind: int = 0) -> None:
        """Keep the answer to a canonical question; `kind` is what it is counted by."""
        if not answer.depends and not answer.expires:
            return
        if question in self.answers:
            # The question was asked again before its first answer came; the keys it depends on may have changed.
            self._remove(question)
        weighs = len(question) + weight(answer.body)
        while self.answers and (len(self.answers) >= self._max_answers or self.octets + weighs > self._max_octets):
            self._remove(next(iter(self.answers)))
            self.evicted += 1
        self.answers[question] = answer.body
        self.kinds[question] = kind
        self._weights[question] = weighs
        self.octets += weighs
        if answer.depends:
            keys = self._depends[question] = tuple([(answer.cluster, key) for key in answer.depends])
            for key in keys:
                self._questions.setdefault(key, {})[question] = None
        if answer.expires:
            self._expires[question] = answer.expires
            self._expiring.setdefault(answer.expires, set()).add(question)

    def in_other_form(self, question: bytes) -> Found | None:
        """The answer to a question that is not in canonical form; None if its canonical form has none."""
        form = canonical(question)
        octets = None if form is question else self._octets(form)
        return None if octets is None else (as_asked(octets, question), self.kinds[form])

    def find(self, question: bytes) -> Found | None:
        """The answer to a question in any form; None if there is none. The hot path does this inline."""
        octets = self._octets(question)
        return self.in_other_form(question) if octets is None else (octets, self.kinds[question])

    def find_stream(self, question: bytes) -> Found | None:
        """The same over TCP."""
        form = canonical(question)
        key = STREAM + form
        octets = self._octets(key)
        if octets is None:
            return None
        return (octets if form is question else as_asked(octets, question)), self.kinds[key]

    def _octets(self, key: bytes) -> bytes | None:
        body = self.answers.get(key)
        return body if body is None or isinstance(body, bytes) else self.octets_of(key, body)

    def octets_of(self, question: bytes, body: Varying) -> bytes:
        """The octets of an answer that varies; a wholly forwarded answer keeps them for the rest of the second."""
        octets = body.octets()
        if question in self._expires and question not in self._depends:
            self.answers[question] = octets
            self._of_this_second[question] = body
        return octets

    def expire(self, now: int) -> bool:
        """Forget expired answers (`now` in monotonic seconds); returns whether there are more to forget."""
        left = EXPIRED_AT_ONCE
        if now != self._second:
            while self._of_this_second:
                question, body = self._of_this_second.popitem()
                self.answers[question] = body
                left -= 1
                if not left:
                    return True
            self._second = now
        for second in [second for second in self._expiring if second <= now]:
            for question in tuple(islice(self._expiring[second], left)):
                self._remove(question)
                left -= 1
            if not left:
                return True
        return False

    def drop_expiring(self) -> None:
        """Forget all forwarded answers."""
        for question in tuple(self._expires):
            self._remove(question)
            self.dropped += 1

    def drop(self, cluster: str, keys: Iterable[bytes]) -> None:
        """Forget every answer that depends on one of these keys."""
        for key in keys:
            if key == EVERYTHING:
                self.drop_cluster(cluster)
                return
            for question in tuple(self._questions.get((cluster, key), ())):
                self._remove(question)
                self.dropped += 1

    def drop_cluster(self, cluster: str) -> None:
        """Forget every answer of a cluster."""
        self.drop(cluster, [key for name, key in tuple(self._questions) if name == cluster])

    def _remove(self, question: bytes) -> None:
        del self.answers[question]
        del self.kinds[question]
        self._of_this_second.pop(question, None)
        self.octets -= self._weights.pop(question)
        second = self._expires.pop(question, None)
        if second is not None:
            expiring = self._expiring[second]
            expiring.discard(question)
            if not expiring:
                del self._expiring[second]
        for key in self._depends.pop(question, ()):
            questions = self._questions[key]
            questions.pop(question, None)
            if not questions:
                del self._questions[key]
