"""The datapath's counters, plain integers: counting costs one addition, and a scrape reads them (see metrics)."""


class Counters:
    """Counts since the start, made by the listeners and their responder."""

    __slots__ = (
        "client_denied",
        "failures",
        "ignored",
        "internal_errors",
        "prepared_hits",
        "rcodes",
        "responses_dropped",
        "responses_truncated",
        "tcp_accepted",
        "tcp_aborted",
        "tcp_connections",
        "tcp_idle_closed",
        "tcp_queries",
        "tcp_rejected",
        "udp_behind",
        "udp_overloads",
        "udp_port_zero",
        "udp_queries",
        "udp_receive_errors",
        "udp_send_errors",
        "udp_shed",
    )

    def __init__(self) -> None:
        self.client_denied = 0
        """Questions of clients outside `access.allow`."""
        self.failures: dict[str, int] = {}
        """Failures by the name of the wire.failure.Failure."""
        self.ignored: dict[str, int] = {}
        """Messages that got no answer, by reason."""
        self.internal_errors = 0
        self.prepared_hits = 0
        self.rcodes = [0] * 16
        """Answers by the four RCODE bits of their header."""
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
        self.tcp_queries = 0
        self.tcp_rejected = 0
        """Connections over a limit."""
        self.udp_behind = 0
        """Times that a socket fell behind: more came for a while than could be answered."""
        self.udp_overloads = 0
        """Questions not taken because their client has too many waiting."""
        self.udp_port_zero = 0
        self.udp_queries = 0
        self.udp_receive_errors = 0
        self.udp_send_errors = 0
        self.udp_shed = 0
        """Questions not taken because a socket was behind."""
