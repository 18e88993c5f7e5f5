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
from tests.support.waiting import eventually

_ASKS = """
import http.client, json, socket, sys, time
name, port = sys.argv[1], int(sys.argv[2])
while True:
    seen = {"at": time.monotonic()}
    try:
        seen["address"] = socket.getaddrinfo(name, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
        connection = http.client.HTTPConnection(seen["address"], port, timeout=1)
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
    said: str = ""
    """By the pod."""
    no_name: str = ""
    """Why the name had no address."""
    no_packets: str = ""
    """Why nothing came from the address."""


class Client:
    """A process on the machine of a lab; `with` runs it."""

    def __init__(self, lab: Lab, name: str, port: int, folder: Path) -> None:
        self._log = folder / "client.log"
        self._daemon = Daemon(lab.machine, [sys.executable, "-c", _ASKS, name, str(port)], self._log)

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
        sys.stdout.write(f"{title}: {len(seen)} tries, {len(fetched)} answered, longest gap {gap * 1000:.0f} ms\n")
