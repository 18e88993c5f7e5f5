"""A client that asks for a name and fetches from its address again and again, while something moves.

with Client(lab, NAME, 8080) as client:
    client.until("web-0")
    ...
    client.until("web-0 again")
    client.addresses()      those that the name had, in turn
    client.show("...")      prints the tries, and the longest gap in ms
"""

import sys
from itertools import groupby, pairwise
from pathlib import Path

from msgspec import Struct
from msgspec import json as msgspec_json

from tests.lab.lab import Lab
from tests.support.daemon import Daemon
from tests.support.links import must
from tests.support.waiting import eventually

_ASKS = """
import http.client, itertools, json, socket, sys, time
name, port, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
for number in itertools.count():
    seen = {"at": time.monotonic()}
    try:
        found = socket.getaddrinfo(name.format(number), port, socket.AF_INET, socket.SOCK_STREAM)
        seen["address"] = found[0][4][0]
        seen["named"] = time.monotonic() - seen["at"]
        connection = http.client.HTTPConnection(seen["address"], port, timeout=patience)
        connection.request("GET", "/")
        seen["said"] = connection.getresponse().read().decode()
        connection.close()
    except socket.gaierror as error:
        seen["no_name"] = error.strerror
    except (OSError, http.client.HTTPException) as error:
        seen["no_packets"] = str(error)
    print(json.dumps(seen), flush=True)
    time.sleep(0.1)
"""


class Seen(Struct, frozen=True):
    """What one try gave."""

    at: float
    """Seconds."""
    address: str = ""
    named: float = 0
    """Seconds until the name had the address."""
    said: str = ""
    """By the pod."""
    no_name: str = ""
    """Why the name had no address."""
    no_packets: str = ""
    """Why nothing came from the address."""


class Client:
    """A process on the machine of a lab; `with` runs it."""

    def __init__(self, lab: Lab, name: str, port: int, folder: Path, patience: float = 1) -> None:
        """`{}` in the name is the number of the try; a pod has `patience` seconds for each step of its answer."""
        self._lab = lab
        self._name = name
        self._log = folder / f"{name}.log"
        self._daemon = Daemon(lab.machine, [sys.executable, "-c", _ASKS, name, str(port), str(patience)], self._log)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self._daemon.stop()

    def seen(self) -> list[Seen]:
        """All tries so far."""
        lines = self._log.read_bytes().split(b"\n")[:-1]
        return [msgspec_json.decode(line, type=Seen) for line in lines]

    def until(self, said: str) -> None:
        """Wait until a pod has said this, last of all."""
        eventually(lambda: (seen := self.seen()) and seen[-1].said == said, lambda: self.seen()[-3:])

    def once_more(self, times: int = 1) -> int:
        """Wait until it has tried anew and whole so often; from which of `seen` on that is so."""
        began = len(self.seen()) + 1  # one may be on its way
        eventually(lambda: len(self.seen()) >= began + times)
        return began

    def until_without(self, address: str) -> None:
        """Wait until the name lacks the address, here as well."""
        eventually(lambda: address not in must(self._lab.machine, "getent", "ahostsv4", self._name).split())
        self.once_more()

    def addresses(self) -> list[str]:
        """The addresses that the name had, in turn."""
        return [address for address, _ in groupby(each.address for each in self.seen() if each.address)]

    def no_name(self) -> set[str]:
        """Why the name had no address, where that was so."""
        return {each.no_name for each in self.seen() if each.no_name}

    def show(self, title: str) -> None:
        """Print the tries, and the longest time between two that a pod answered."""
        seen = self.seen()
        fetched = [each.at for each in seen if each.said]
        gap = max(later - earlier for earlier, later in pairwise(fetched))
        lost = sum(bool(each.no_name) for each in seen)
        counts = f"{len(seen)} tries, {len(fetched)} answered, {lost} without a name"
        slowest = max(each.named for each in seen)
        times = f"slowest name {slowest * 1000:.0f} ms, longest gap {gap * 1000:.0f} ms"
        sys.stdout.write(f"{title}: {counts}, {times}\n")
