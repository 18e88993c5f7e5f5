"""The kernel's own words about routes: hostile datagrams, and a real table in a namespace."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.netlink.kernel_routes import Event, events
from tests.support.namespace import Namespace
from tests.support.waiting import DEADLINE

_DUMP = """
import asyncio, json
from dnsbridge.netlink.kernel_routes import TooMany, dump
async def main():
    found = [(str(each.prefix), each.leads) for each in await dump(frozenset({254, 100}), 50)]
    try:
        await dump(frozenset({254}), 5)
        many = False
    except TooMany:
        many = True
    print(json.dumps([found, many]))
asyncio.run(main())
"""
_EVENTS = """
import asyncio, subprocess
from dnsbridge.netlink.kernel_routes import KernelEvents
async def main():
    heard = KernelEvents()
    for command in %r:
        subprocess.run(["ip", *command.split()], check=True)
        found = await asyncio.wait_for(heard.next(), 60)
        print(found.name)
    heard.close()
asyncio.run(main())
"""


@given(st.binary(max_size=200))
def test_any_octets_are_read(octets: bytes) -> None:
    """Whatever comes is read without an error."""
    assert isinstance(events(octets, 1), Event)


def _notification(kind: int, port: int, cloned: bool = False) -> bytes:
    body = bytes([2, 24, 0, 0, 254, 83, 0, 1]) + (0x200 if cloned else 0).to_bytes(4, sys.byteorder)
    numbers = ((28, 4), (kind, 2), (0, 2), (1, 4), (port, 4))
    return b"".join(value.to_bytes(size, sys.byteorder) for value, size in numbers) + body


@pytest.mark.parametrize(
    ("kind", "port", "cloned", "expected"),
    [
        (24, 0, False, Event.ROUTES),
        (25, 4711, False, Event.ROUTES),
        (25, 77, False, Event(0)),
        (25, 77 + (5 << 22), False, Event(0)),
        (24, 0, True, Event(0)),
        (16, 0, False, Event.LINKS),
        (20, 77, False, Event.LINKS),
        (28, 0, False, Event(0)),
    ],
)
def test_events(kind: int, port: int, cloned: bool, expected: Event) -> None:
    """Routes that others changed and links count; what process 77 did itself does not, by whichever of its ports."""
    assert events(_notification(kind, port, cloned), 77) == expected


@pytest.mark.needs("netns")
def test_a_table_of_the_kernel() -> None:
    """All routes but default ones, of the tables that are asked for, and whether they lead anywhere."""
    with Namespace("") as namespace:
        for line in (
            "link add va type veth peer name vb",
            "link set va up",
            "link set vb up",
            "addr add 10.9.0.1/24 dev va",
            "addr add fd09::1/64 dev va nodad",
            "route add 10.1.0.0/16 via 10.9.0.2",
            "route add blackhole 10.2.0.0/16",
            "route add 10.3.0.0/16 via 10.9.0.2 table 100",
            "route add 10.4.0.0/16 via 10.9.0.2 table 101",
            "route add default via 10.9.0.2",
            "-6 route add fd10::/48 via fd09::2",
            "-6 route add unreachable fd11::/48",
        ):
            done = namespace.run("ip", *line.split())
            assert not done.returncode, done.stderr
        found, many = json.loads(namespace.run(sys.executable, "-c", _DUMP).stdout)
    routes = {tuple(each) for each in found if not each[0].startswith(("fe80", "ff00"))}
    assert routes == {
        ("10.9.0.0/24", True),
        ("10.1.0.0/16", True),
        ("10.2.0.0/16", False),
        ("10.3.0.0/16", True),
        ("fd09::/64", True),
        ("fd10::/48", True),
        ("fd11::/48", False),
    }
    assert many


@pytest.mark.needs("netns")
def test_events_of_the_kernel() -> None:
    """A route that comes, one that goes, an address and a link are heard, each when it happens."""
    commands = (
        "link add va type veth peer name vb",
        "route add blackhole 10.1.0.0/16",
        "route delete blackhole 10.1.0.0/16",
        "-6 route add blackhole fd10::/48",
        "addr add 10.8.0.1/32 dev lo",
    )
    with Namespace("") as namespace:
        done = subprocess.run(
            [*namespace.prefix, sys.executable, "-c", _EVENTS % (commands,)],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
            cwd=os.getcwd(),
        )
    words = done.stdout.split()
    assert len(words) == 5, done.stderr
    assert all(word in said for word, said in zip(("LINKS", "ROUTES", "ROUTES", "ROUTES", "LINKS"), words, strict=True))
