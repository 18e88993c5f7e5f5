"""Cluster names while the cluster changes: dnsbridge alone, over the test API server; nobody else follows one.

The API server shares the core of dnsperf, so the rate of answers holds what that costs; the CPU time does not.
"""

from pathlib import Path

from benchmarks.parts.api import Api
from benchmarks.parts.load import Round, run_round
from benchmarks.parts.names import write_questions
from benchmarks.parts.peers import Watching
from tests.apiserver.seed import Shape

RATE = 20
"""Changes of an EndpointSlice a second."""
WARM = 1.0
"""Seconds at least of the round before the counted ones."""
SHAPE = Shape(services=10_000, headless=1_000, endpoints_per_slice=3, namespaces=100, nodes=100)


def measure_changes(rounds: int, seconds: float, folder: Path, server_core: int, load_core: int) -> list[Round]:
    """The rounds; raises Failed."""
    place = folder / "changes"
    place.mkdir()
    questions = place / "questions"
    found = []
    with Api(SHAPE, place, load_core) as cluster:
        names = cluster.holds.names
        write_questions(names, questions)
        server = Watching(place, cluster.kubeconfig)
        try:
            server.start(names[-1:], server_core)
            run_round(server, questions, max(seconds, WARM), load_core)
            count = max(1, int(seconds * RATE))
            for number in range(rounds):
                cluster.begin_changes(number * count, count, RATE)
                found.append(run_round(server, questions, seconds, load_core))
                cluster.changed()
        finally:
            server.stop()
    return found
