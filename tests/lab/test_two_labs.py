"""Two labs run side by side with the same addresses and names, and neither sees anything of the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.client import Client
from tests.lab.lab import Lab
from tests.lab.own_nodes import PODS_4, PORT, WEB_0, web
from tests.support.links import must
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns")


@contextmanager
def lab_of(said: str, folder: Path) -> Iterator[tuple[Lab, Client]]:
    """A lab of case 4 whose pod says this, and a client that asks there."""
    folder.mkdir()
    with Lab(folder, "case4-host-gw", web(PODS_4), "172.25.254.99/24") as lab:
        lab.pod(lab.host("172.25.254.3/24"), f"{PODS_4[0]}/32", said, PORT)
        lab.serve()
        with Client(lab, WEB_0, PORT, folder) as client:
            yield lab, client


def test_side_by_side(tmp_path: Path) -> None:
    """Each client gets its own pods, also while the other lab's routes, name and link go."""
    with lab_of("first", tmp_path / "1") as (first, one), lab_of("second", tmp_path / "2") as (second, other):
        first.routes("apply")
        one.until("first")
        other.once_more()
        assert {each.said for each in other.seen()} == {""}
        second.routes("apply")
        other.until("second")
        first.routes("withdraw")
        eventually(lambda: one.seen()[-1].no_packets)
        first.kill()
        eventually(lambda: one.seen()[-1].no_name)
        must(first.machine, "ip", "link", "set", "eth0", "down")
        other.once_more(10)
        other.until("second")
        for client, said in ((one, "first"), (other, "second")):
            assert {each.said for each in client.seen()} == {"", said}
            assert client.addresses() == [PODS_4[0]]
        assert other.no_name() == set()
    one.show("two labs: the first")
    other.show("two labs: the second")
