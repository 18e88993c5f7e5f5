"""How soon a cluster is fresh whose API server refuses streaming lists, from the start of the process, in each way.

python -m benchmarks.fresh [--rounds N] [--json FILE]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.parts.figures import Figure, show
from tests.apiserver.faults import Fault
from tests.apiserver.refused_streams import WAYS
from tests.apiserver.seed import Shape, cluster
from tests.apiserver.server import ApiServer, in_thread
from tests.support.program import Program

SHAPE = Shape(services=30, headless=5, namespaces=3)
BAR = 2.0
AS_USERS_DO = ("env",)
"""Starts an interpreter of its own, unlike what tests do."""


def seconds(fault: Fault | None) -> float:
    """Seconds until all of the cluster is read, on a server whose services meet a fault when they are streamed."""
    with tempfile.TemporaryDirectory(prefix="dnsbridge-bench-") as folder, in_thread(ApiServer()) as server:
        server.change(put=cluster(SHAPE))
        if fault:
            server.faults.add(fault, "services", "stream", None)
        source = {"kubeconfig": str(server.kubeconfig(Path(folder) / "kubeconfig"))}
        settings = {"clusters": [{"name": "dev", "source": source}]}
        program = Program(settings=settings, listen=["127.0.0.1:0"], command_prefix=AS_USERS_DO)
        started = time.monotonic()
        with program:
            program.wait_for_log("cluster dev: fresh")
            return time.monotonic() - started


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="until a cluster is fresh, by how its streaming lists are refused")
    parser.add_argument("--rounds", type=int, default=3, help="of which the slowest counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("at least one round")
    found = [
        Figure(name if fault else "not refused", max(seconds(fault) for _ in range(options.rounds)), "s", BAR)
        for name, fault in WAYS.items()
    ]
    show(found, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
