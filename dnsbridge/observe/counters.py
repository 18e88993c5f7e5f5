"""The datapath's counters, plain integers: counting costs one addition, and a scrape reads them (see metrics)."""

from collections import Counter

from dnsbridge.observe.histogram import Histogram
from dnsbridge.observe.traffic import OTHER, RCODES, Kind, Traffic

ALWAYS = range(6)
"""RCODEs that are told from the start, so that a rate finds their first answer: those of RFC 1035."""
NOWHERE = "none"
"""The source of an answer that no source gave: a failure, or an error."""
PREPARED = "prepared"
"""The source of ready-made answers in `latency`: their whole batch is timed, whatever their sources were."""


class Counters:
    """Counts since the start, made by the listeners and their responder."""

    __slots__ = (
        "_numbers",
        "answers",
        "client_denied",
        "failures",
        "ignored",
        "internal_errors",
        "kinds",
        "latency",
        "prepared_hits",
        "responses_dropped",
        "responses_truncated",
        "tcp_accepted",
        "tcp_aborted",
        "tcp_connections",
        "tcp_idle_closed",
        "tcp_rejected",
        "traffics",
        "udp_behind",
        "udp_overloads",
        "udp_port_zero",
        "udp_receive_errors",
        "udp_send_errors",
        "udp_shed",
    )

    def __init__(self) -> None:
        self.answers: dict[str, list[int]] = {}
        """Answers that were not prepared, by source and by the four RCODE bits of their header."""
        self.client_denied = 0
        """Questions of clients outside `access.allow`."""
        self.failures: dict[str, int] = {}
        """Failures by the name of the wire.failure.Failure."""
        self.ignored: dict[str, int] = {}
        """Messages that got no answer, by reason."""
        self.internal_errors = 0
        self.kinds = [Kind("", OTHER, NOWHERE)]
        """The kinds of prepared answers; each has its number here. Number 0 is for those of which nothing is said."""
        self.latency: dict[str, Histogram] = {PREPARED: Histogram()}
        """Seconds from a question to its answer, by source."""
        self.prepared_hits = 0
        self.responses_dropped = 0
        """Responses over the rate of a client's network that were not sent."""
        self.responses_truncated = 0
        """Responses over that rate that were sent without data, so that the client asks again over TCP."""
        self.tcp_accepted = 0
        self.tcp_aborted = 0
        """Connections that the server ended because of what came over them."""
        self.tcp_connections = 0
        """Open now."""
        self.tcp_idle_closed = 0
        self.tcp_rejected = 0
        """Connections over a limit."""
        self.traffics: dict[tuple[str, str], Traffic] = {}
        """By transport and address family."""
        self.udp_behind = 0
        """Times that a socket fell behind: more came for a while than could be answered."""
        self.udp_overloads = 0
        """Questions not taken because their client has too many waiting."""
        self.udp_port_zero = 0
        self.udp_receive_errors = 0
        self.udp_send_errors = 0
        self.udp_shed = 0
        """Questions not taken because a socket was behind."""
        self._numbers = {self.kinds[0]: 0}

    def traffic(self, transport: str, family: str) -> Traffic:
        """The counts of a transport (`udp`, `tcp`) and an address family (`ipv4`, `ipv6`)."""
        key = transport, family
        if key not in self.traffics:
            self.traffics[key] = Traffic(transport, family, len(self.kinds))
        return self.traffics[key]

    def kind(self, zone: str, rtype: int, source: str) -> int:
        """The number of a kind of prepared answers."""
        kind = Kind(zone, rtype, source)
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self.kinds)
            self.kinds.append(kind)
            for traffic in self.traffics.values():
                for counts in traffic.prepared:
                    counts.append(0)
        return number

    def answered(self, source: str, rcode: int, seconds: float) -> None:
        """Count an answer that was not prepared, and the time that its client waited."""
        if source not in self.answers:
            self.answers[source] = [0] * RCODES
            self.latency[source] = Histogram()
        self.answers[source][rcode] += 1
        self.latency[source].add(seconds)

    def by_source(self) -> Counter[tuple[str, int]]:
        """All answers, by source and RCODE."""
        found = Counter({(NOWHERE, rcode): 0 for rcode in ALWAYS})
        for source, by_rcode in self.answers.items():
            found.update({(source, rcode): count for rcode, count in enumerate(by_rcode) if count})
        for traffic in self.traffics.values():
            for rcode, counts in enumerate(traffic.prepared):
                for kind, count in zip(self.kinds, counts, strict=True):
                    if count:
                        found[kind.source, rcode] += count
        return found

    def by_question(self, traffic: Traffic) -> Counter[tuple[str, int]]:
        """All messages of a transport and family, by zone and type; ("", OTHER) has those without a question, too."""
        found = Counter(traffic.asked)
        for counts in traffic.prepared:
            for kind, count in zip(self.kinds, counts, strict=True):
                if count:
                    found[kind.zone, kind.rtype] += count
        found["", OTHER] += traffic.received - found.total()
        return found
