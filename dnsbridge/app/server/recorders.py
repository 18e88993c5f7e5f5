"""From settings to the recorders of one process: the query log and dnstap, each where the settings switch it on.

Each process that answers has its own. Their threads write whole lines to the same file, and whole messages on their own
connections, so no process waits for another, and one that ends takes only its own last lines with it.
"""

import socket
from functools import partial

from msgspec import Struct

from dnsbridge import __version__
from dnsbridge.app.facts.families import Family, counter
from dnsbridge.config import Log, UnixSocket
from dnsbridge.listeners.sampling import Sampler
from dnsbridge.observe.dnstap_sinks import SocketSink, StreamFile
from dnsbridge.observe.line_sinks import FileSink, JournalSink
from dnsbridge.observe.query_line import query_line
from dnsbridge.observe.recorder import Destination, Recorder
from dnsbridge.wire.dnstap import Encoder


class Recorders(Struct, frozen=True):
    """All recorders of a process."""

    all: tuple[tuple[Recorder, int], ...]
    """Each with the number of questions of which it gets one."""

    def samplers(self) -> list[Sampler]:
        """Samplers for one listener."""
        return [Sampler(recorder, sample) for recorder, sample in self.all]

    def families(self) -> list[Family]:
        """The metrics; none while nothing is recorded."""
        if not self.all:
            return []
        taken = [([each.name], float(each.taken)) for each, _ in self.all]
        lost = [([each.name], float(each.lost)) for each, _ in self.all]
        return [
            counter("records", "Exchanges for the query log and dnstap, after sampling.", ["log"], taken),
            counter("records_lost", "Those that were lost: no room, or nobody takes them.", ["log"], lost),
        ]


def recorders(log: Log) -> Recorders:
    """The recorders that the settings switch on, not started yet."""
    found: list[tuple[Recorder, int]] = []
    queries, dnstap = log.queries, log.dnstap
    if queries.to is not None:
        to_line = partial(query_line, log.format)
        lines: Destination
        if queries.to == "journald":
            lines = JournalSink(to_line)
        else:
            lines = FileSink(None if isinstance(queries.to, str) else queries.to, to_line)
        found.append((Recorder("query_log", str(queries.to), lines), queries.sample))
    if dnstap.to is not None:
        encoder = Encoder(dnstap.identity or socket.gethostname(), f"dnsbridge {__version__}")
        stream: Destination
        if isinstance(dnstap.to, UnixSocket):
            stream = SocketSink(dnstap.to.path, encoder)
        else:
            stream = StreamFile(dnstap.to, encoder)
        found.append((Recorder("dnstap", str(dnstap.to), stream), dnstap.sample))
    return Recorders(tuple(found))
