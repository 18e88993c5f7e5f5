"""Case 2: the tunnel takes packets of 1480 octets, the link of the machine 1500, and who says so."""

from pathlib import Path

import pytest

from tests.lab.case2 import NAME, PODS, PORT, case2
from tests.lab.lab import Lab
from tests.support.links import MTU, must
from tests.support.namespace import Namespace

pytestmark = pytest.mark.needs("netns", "nft", "curl")


def large(lab: Lab) -> str:
    """What comes of a request that fills two packets."""
    return lab.fetched(NAME, PORT, "--header", f"Large: {'x' * 2 * MTU}")


def be_silent(gateway: Namespace) -> None:
    """The gateway tells nobody that packets are too large for its tunnel (ICMP type 3, code 4)."""
    output = "type filter hook output priority 0; icmp type destination-unreachable icmp code frag-needed drop;"
    must(gateway, "nft", f"table ip silent {{ chain output {{ {output} }}; }}")


def test_pods_have_the_tunnels_mtu(tmp_path: Path) -> None:
    """As Calico sets it: a pod asks for no larger packets, so a gateway that says nothing does no harm."""
    with case2(tmp_path) as (lab, gateway):
        lab.routes("apply", "--via", "gateways")
        be_silent(gateway)
        assert large(lab) == "kafka-0"
        check_well(lab)


def test_pods_have_a_larger_mtu(tmp_path: Path) -> None:
    """The gateway says that a packet is too large, and smaller ones arrive; one that says nothing is a black hole."""
    with case2(tmp_path, MTU) as (lab, gateway):
        lab.routes("apply", "--via", "gateways")
        check_well(lab)
        assert large(lab) == "kafka-0"
        be_silent(gateway)
        must(lab.machine, "ip", "route", "flush", "cache")  # what the gateway has said
        assert (large(lab), lab.fetched(NAME, PORT)) == ("", "kafka-0")
        found = lab.links(NAME)
        assert [link for link, each in found.items() if each["state"] == "failed"] == ["path MTU"]
        assert "a black hole" in found["path MTU"]["cause"]
        must(lab.machine, *found["path MTU"]["mend"].partition(",")[0].split())
        assert large(lab) == "kafka-0"
        check_well(lab)


def check_well(lab: Lab) -> None:
    """The doctor finds no fault, and sees that packets of 1480 octets arrive."""
    links = lab.links(NAME)
    assert links["path MTU"]["evidence"] == f"1480 octets to {PODS['kafka-0']}, and one of that size arrives"
    assert [link for link, each in links.items() if each["state"] == "failed"] == []
