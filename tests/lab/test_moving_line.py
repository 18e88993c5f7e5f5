"""The machine's line gets 100 ms and 5% loss each way, between dnsbridge and the office DNS as well as to the nodes."""

from pathlib import Path

import pytest

from tests.lab.client import Client
from tests.lab.line import bad_line
from tests.lab.own_nodes import PODS_4, PORT, WEB_0, own_nodes
from tests.support.daemon import Daemon
from tests.support.links import must

pytestmark = pytest.mark.needs("netns", "dnsmasq")
OFFICE_DNS = "172.25.254.53"
FORWARDED = "host-{}.corp.example"
"""Another name with each try, so that no cache has it."""
DNSMASQ = "dnsmasq --keep-in-foreground --conf-file=/dev/null --no-hosts --no-resolv --user= --group= --pid-file"


def test_a_bad_line(tmp_path: Path) -> None:
    """No question fails: dnsbridge asks again what got lost, and TCP does so for the pods."""
    with own_nodes(tmp_path, "case4-host-gw", upstream=OFFICE_DNS) as (lab, _):
        lab.routes("apply")
        office = lab.host(f"{OFFICE_DNS}/24")
        command = [*DNSMASQ.split(), f"--address=/corp.example/{PODS_4[1]}"]
        with (
            Daemon(office, command, tmp_path / "dnsmasq.log") as dnsmasq,
            Client(lab, WEB_0, PORT, tmp_path, patience=30) as cluster,
            Client(lab, FORWARDED, PORT, tmp_path, patience=30) as forwarded,
        ):
            dnsmasq.wait(lambda: ":53 " in must(office, "ss", "--udp", "--listening", "--numeric", "--no-header"))
            cluster.until("web-0")
            forwarded.until("web-1")
            with bad_line(lab.switch, lab.machine, tmp_path) as means:
                after = forwarded.once_more(30)
            forwarded.once_more()
            assert cluster.addresses() == [PODS_4[0]]
            assert cluster.no_name() == set()
            assert forwarded.addresses() == [PODS_4[1]]
            assert [each for each in forwarded.seen()[after:] if each.no_name] == []
        cluster.show(f"a line with 100 ms and 5% loss ({means}): a cluster's name")
        forwarded.show(f"a line with 100 ms and 5% loss ({means}): forwarded names")
