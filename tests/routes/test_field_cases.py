"""The plans of the field cases, from their original tables and objects, as text in golden/.

After a change that is meant: `DNSBRIDGE_WRITE_GOLDEN=1 pytest tests/routes/test_field_cases.py`, and read what differs.
"""

import os
from pathlib import Path

import pytest
from msgspec import Struct

from dnsbridge.routes.choice import Choice
from dnsbridge.routes.host import Host
from dnsbridge.routes.pictures.picture import Picture
from dnsbridge.routes.wanted import wanted
from tests.routes.support import host, lines, of_objects, of_table

GOLDEN = Path(__file__).parent / "golden"
NEAR_1 = host("lo 127.0.0.1/8", "eth0 10.200.20.9/24")
FAR_1 = host("lo 127.0.0.1/8", "eth0 10.1.1.9/24")
NEAR_2 = host("eth0 10.73.13.100/24")
NEAR_3 = host("eth0 10.173.32.200/24")
NEAR_4 = host("ens33 172.25.254.50/24")
MEMBER_4 = host("ens33 172.25.254.50/24", "flannel.1 10.244.9.0/32 mtu=1450")
OFFICE_5 = host("eth0 10.60.0.200/24")
NEAR_6 = host("eth0 172.18.12.5/24")
BOTH = frozenset({"load_balancer", "external_ip"})


class Case(Struct, frozen=True):
    """One plan: of what, where, and how it was asked for."""

    pictures: tuple[Picture, ...]
    host: Host
    choice: Choice = Choice()


CASES: dict[str, Case] = {
    "case1-objects": Case((of_objects("case1"),), NEAR_1),
    "case1-table": Case((of_table("case1-node5", services="10.233.0.0/18"),), NEAR_1),
    "case1-not-announced": Case((of_objects("case1-not-announced"),), NEAR_1),
    "case1-node-gone": Case((of_objects("case1-node-gone"),), NEAR_1),
    "case1-far": Case((of_objects("case1"),), FAR_1),
    "case1-router": Case((of_objects("case1"),), FAR_1, Choice(recurse=True)),
    "case2-objects": Case((of_objects("case2"),), NEAR_2, Choice(via="gateways")),
    "case2-table": Case((of_table("case2-gateway", services="192.96.0.0/16"),), NEAR_2, Choice(via="gateways")),
    "case3-ipip": Case((of_objects("case3-always"),), NEAR_3),
    "case3-cross-subnet": Case((of_objects("case3-crosssubnet"),), NEAR_3),
    "case3-none": Case((of_objects("case3-never"),), NEAR_3),
    "case3-ipip-table": Case((of_table("case3-ipip", services="10.96.0.0/12"),), NEAR_3),
    "case3-none-table": Case((of_table("case3-none", services="10.96.0.0/12"),), NEAR_3),
    "case4-vxlan": Case((of_objects("case4-vxlan"),), NEAR_4),
    "case4-host-gw": Case((of_objects("case4-host-gw"),), NEAR_4),
    "case4-direct": Case((of_objects("case4-direct"),), NEAR_4),
    "case4-host-gw-table": Case((of_table("case4-host-gw", services="10.96.0.0/12"),), NEAR_4),
    "case4-vxlan-table": Case((of_table("case4-vxlan", services="10.96.0.0/12"),), NEAR_4),
    "case4-member": Case((of_objects("case4-vxlan"),), MEMBER_4),
    "case5-on-link": Case((of_objects("case5"),), OFFICE_5),
    "case5-pool": Case((of_objects("case5-pool"),), OFFICE_5),
    "case6-vpn": Case((of_objects("case6"),), NEAR_6, Choice(via="gateways")),
    "case7-not-asked": Case((of_objects("case7"),), NEAR_4),
    "case7-asked": Case((of_objects("case7"),), NEAR_4, Choice(external=BOTH)),
}


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str) -> None:
    """The routes and the notes of one case are exactly those that were read and found right."""
    case = CASES[name]
    text = "".join(f"{line}\n" for line in lines(wanted(case.pictures, case.choice, case.host)))
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("DNSBRIDGE_WRITE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("case1-objects", "case1-table"),
        ("case2-objects", "case2-table"),
        ("case3-ipip", "case3-ipip-table"),
        ("case3-none", "case3-none-table"),
        ("case3-ipip", "case3-none"),
        ("case4-host-gw", "case4-host-gw-table"),
        ("case4-host-gw", "case4-vxlan"),
    ],
)
def test_two_sources_agree(one: str, other: str) -> None:
    """A plan from a cluster's objects equals the one from a node's table, and tunnels change nothing outside."""
    found = [
        [route.same_way for route in wanted(case.pictures, case.choice, case.host).routes]
        for case in (CASES[one], CASES[other])
    ]
    assert found[0] == found[1]
    assert found[0]


def test_every_golden_plan_is_checked() -> None:
    """No file of golden/ is left over."""
    assert {path.stem for path in GOLDEN.glob("case*.txt")} == set(CASES)
