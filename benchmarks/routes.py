"""Routes to a large cluster: what working them out costs, setting them, and one change. Needs root.

5,000 nodes with 20,000 blocks of Calico, in a network namespace with the nodes' network on a veth pair. `ip -batch`
sets the same routes from a file in the same run, in turn with the sink; both start with an empty table.

    plan           objects in memory -> picture, routes, guards, the kernel's table read, the difference
    command        `dnsbridge routes plan` as a process, over the same objects as JSON
    apply          the sink's whole set, into an empty table
    held up        how long an event loop stands still while another thread works all routes out, as in a server
    routes run     as a process that follows the API server of the tests: a block moves, a node is lost; the routes that
                   the kernel announces then, no more and no fewer, and the time from the event being made

    python -m benchmarks.routes [--quick] [--json FILE]
"""

import argparse
import asyncio
import gc
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from benchmarks.parts.figures import Figure
from benchmarks.parts.run import Failed, report
from dnsbridge.app.server.life import SWITCH, spare_the_collector
from dnsbridge.cluster.objects import BlockAffinity, IPPool, Node, Object, ServiceCIDR
from dnsbridge.netlink.netlink_socket import messages_of
from dnsbridge.netlink.this_host import this_host
from dnsbridge.routes.choice import Choice
from dnsbridge.routes.gateways import MAX_NEXT_HOPS
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import Route
from dnsbridge.routes.pictures.document import Told, encode
from dnsbridge.routes.pictures.from_objects import picture_of
from dnsbridge.routes.pictures.picture import Picture
from dnsbridge.routes.plan import Plan, make_plan
from dnsbridge.routes.wanted import wanted
from dnsbridge.sinks.kernel import KernelSink
from tests.apiserver.server import ApiServer, in_thread

NODES, BLOCKS = 5_000, 20_000
CHANGES = 20
"""Of each kind."""
LIMIT = 400
"""Milliseconds from a watch event to the kernel, which hold no answer up: a router's convergence takes seconds."""
QUIET = 0.15
"""Seconds in which no more routes may change."""
_SO_RCVBUFFORCE = 33
_RTMGRP_IPV4_ROUTE = 1 << 6


def node_address(number: int) -> IPv4Address:
    """Of node 0, 1, ... in 10.200.0.0/16."""
    return IPv4Address("10.200.1.0") + number


def cluster(nodes: int, blocks: int) -> list[Object]:
    """Its objects; blocks are of 10.0.0.0/9, in turn of all nodes, so that none can be merged."""
    found: list[Object] = [
        IPPool(name="default", cidr="10.0.0.0/9"),
        ServiceCIDR(name="kubernetes", cidrs=("172.16.0.0/16",)),
    ]
    found += [Node(name=f"node{number}", addresses=(node_address(number).packed,)) for number in range(nodes)]
    for number in range(blocks):
        prefix = IPv4Network((int(IPv4Address("10.0.0.0")) + (number << 6), 26))
        found.append(BlockAffinity(name=f"block{number}", cidr=str(prefix), node=f"node{number % nodes}"))
    return found


def as_json(objects: Sequence[Object]) -> Iterator[dict[str, Any]]:
    """The same as an API server has them."""
    for each in objects:
        metadata = {"name": each.name}
        match each:
            case Node():
                address = {"type": "InternalIP", "address": str(IPv4Address(each.addresses[0]))}
                ready = {"type": "Ready", "status": "True"}
                status = {"addresses": [address], "conditions": [ready]}
                yield {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}, "status": status}
            case BlockAffinity():
                spec = {"cidr": each.cidr, "node": each.node, "state": "confirmed", "deleted": "false"}
                yield {"apiVersion": CALICO, "kind": "BlockAffinity", "metadata": metadata, "spec": spec}
            case IPPool():
                yield {"apiVersion": CALICO, "kind": "IPPool", "metadata": metadata, "spec": {"cidr": each.cidr}}
            case ServiceCIDR():
                cidrs = {"cidrs": list(each.cidrs)}
                yield {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": metadata, "spec": cidrs}


CALICO = "crd.projectcalico.org/v1"


def routes_to(objects: Sequence[Object], host: Host) -> tuple[Route, ...]:
    """The routes that this host should have."""
    return wanted([picture_of("dev", objects)], Choice(via="nodes"), host).routes


async def work_out(objects: Sequence[Object], host: Host) -> Plan:
    """The plan for this host's kernel."""
    sink = KernelSink()
    try:
        return make_plan(await sink.held(), routes_to(objects, host))
    finally:
        await sink.close()


async def apply(routes: Sequence[Route]) -> float:
    """Seconds that a new sink takes for the set. Raises Failed."""
    sink = KernelSink()
    try:
        begin = time.perf_counter()
        reached = await sink.apply(routes)
        took = time.perf_counter() - begin
    finally:
        await sink.close()
    if reached.failures or len(reached.routes) != len(routes):
        raise Failed(f"the kernel refused {len(reached.failures)} routes")
    return took


async def held_up(objects: Sequence[Object], rounds: int) -> tuple[float, float]:
    """The longest that an event loop stands still while another thread makes the document of all routes, as in a
    server, and while nobody does; in seconds.
    """
    sys.setswitchinterval(SWITCH)
    spare_the_collector()

    kept: Picture | None = None

    def work() -> None:
        nonlocal kept
        picture = picture_of("dev", objects)
        encode((Told(picture, True),), wanted([picture], Choice(), Host()).routes)
        kept = picture  # until the next one, as a server does

    async def longest(thread: "asyncio.Future[None]") -> float:
        most, last = 0.0, time.perf_counter()
        while not thread.done():
            await asyncio.sleep(0)
            now = time.perf_counter()
            most, last = max(most, now - last), now
        return most

    idle = [await longest(asyncio.ensure_future(asyncio.to_thread(time.sleep, 0.3))) for _ in range(rounds)]
    busy = [await longest(asyncio.ensure_future(asyncio.to_thread(work))) for _ in range(rounds)]
    gc.unfreeze()
    return median(busy), median(idle)


def batch(file: Path) -> float:
    """Seconds of `ip -batch`."""
    begin = time.perf_counter()
    _must("ip", "-batch", str(file))
    return time.perf_counter() - begin


class Running:
    """`dnsbridge routes run` with the sink kernel, on a core of its own, and what the kernel announces meanwhile."""

    def __init__(self, folder: Path, kubeconfig: Path, cores: tuple[int, int]) -> None:
        """`cores` are its own, and that of everything else."""
        source = {"kubeconfig": str(kubeconfig)}
        settings = {"clusters": [{"name": "dev", "source": source}], "routes": {"sinks": ["kernel"], "via": "nodes"}}
        config = folder / "run.yaml"
        config.write_text(json.dumps(settings))
        os.sched_setaffinity(0, {cores[1]})
        self._events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._events.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        self._events.bind((0, _RTMGRP_IPV4_ROUTE))
        command = [sys.executable, "-m", "dnsbridge", "routes", "run", "--config", str(config)]
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(["taskset", "--cpu-list", str(cores[0]), *command], stderr=self._log)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._events.close()
        self._log.close()

    def wait(self, count: int, seconds: float) -> float:
        """When the last of so many announcements came (monotonic seconds). Raises Failed."""
        self._events.settimeout(seconds)
        at = time.monotonic()
        while count > 0:
            try:
                octets = self._events.recv(1 << 18)
            except TimeoutError:
                self._log.seek(0)
                raise Failed(f"routes run: {count} routes are missing: {self._log.read()[-1000:]}") from None
            at = time.monotonic()
            count -= sum(1 for _ in messages_of(octets))
        if count < 0:
            raise Failed(f"routes run: {-count} routes more than should have changed")
        return at

    def settle(self) -> None:
        """See that no more is announced. Raises Failed."""
        self._events.settimeout(QUIET)
        try:
            more = sum(1 for _ in messages_of(self._events.recv(1 << 18)))
        except TimeoutError:
            return
        raise Failed(f"routes run: {more} routes more than should have changed")


def follow(folder: Path, nodes: int, blocks: int, rounds: int) -> tuple[float, list[float], list[float]]:
    """A real `routes run` of an API server: seconds of its start, and from each event to the kernel's announcement,
    where a block moves to another node, and where a node is not Ready any more. Raises Failed."""
    cores = sorted(os.sched_getaffinity(0))
    objects = list(as_json(cluster(nodes, blocks)))
    with in_thread(ApiServer()) as api:
        api.load(objects)
        gc.collect()
        gc.freeze()
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for each in objects:
            by_kind.setdefault(each["kind"], []).append(each)
        begin = time.monotonic()
        with Running(folder, api.kubeconfig(folder / "kubeconfig"), (cores[0], cores[-1])) as running:
            started = running.wait(blocks + 1, 120) - begin
            moves, losses = list[float](), list[float]()
            for number in range(rounds):
                running.settle()
                # Not the first nodes, which the route of services has as next hops.
                place = MAX_NEXT_HOPS + 2 * number
                block = by_kind["BlockAffinity"][-1 - number]
                block["spec"]["node"] = f"node{place}"
                moves.append(-api.change(put=[block])[0].at + running.wait(1, 10))
                running.settle()
                node = by_kind["Node"][place + 1]
                node["status"]["conditions"][0]["status"] = "False"
                losses.append(-api.change(put=[node])[0].at + running.wait(blocks // nodes, 10))
            running.settle()
    return started, moves, losses


def measure(folder: Path, nodes: int, blocks: int, rounds: int, changes: int) -> list[Figure]:
    """The figures, in a namespace of our own; raises Failed."""
    objects = cluster(nodes, blocks)
    host = asyncio.run(this_host())
    plans, routes = list[float](), tuple[Route, ...]()
    for _ in range(rounds):
        begin = time.perf_counter()
        routes = asyncio.run(work_out(objects, host)).add
        plans.append(time.perf_counter() - begin)
        if len(routes) != blocks + 1:
            raise Failed(f"the plan adds {len(routes)} routes, not {blocks + 1}")
    manifests = folder / "cluster.json"
    manifests.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": list(as_json(objects))}))
    command = [sys.executable, "-m", "dnsbridge", "routes", "plan", "--via", "nodes", "--manifests", str(manifests)]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    whole = time.perf_counter() - begin
    if done.returncode != 2 or f"{blocks + 1} to add" not in done.stdout:
        raise Failed(f"routes plan: exit status {done.returncode}: {done.stderr.strip()[:500]}")
    lines = [f"route add {route.prefix} proto 83 {_hops(route)}\n" for route in routes]
    (folder / "batch").write_text("".join(lines))
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(batch(folder / "batch"))
        _must("ip", "route", "flush", "proto", "83")
        ours.append(asyncio.run(apply(routes)))
        if len(_must("ip", "-oneline", "route", "show", "proto", "83").splitlines()) != len(routes):
            raise Failed("the kernel does not have all routes")
        _must("ip", "route", "flush", "proto", "83")
    held, alone = uvloop.run(held_up(objects, rounds))
    started, moves, losses = follow(folder, nodes, blocks, changes)
    size = f"{nodes:,} nodes, {blocks:,} blocks"
    return [
        Figure(f"plan, {size}", median(plans), "s", 1.0),
        Figure("the whole command routes plan, from JSON", whole, "s"),
        Figure("a server's loop held up while its routes are made, longest", held * 1000, "ms", 5),
        Figure("  while nothing is made", alone * 1000, "ms"),
        Figure(f"apply of {len(routes):,} routes, to ip -batch", median(ours) / median(theirs), "x", 2.0),
        Figure("  the sink kernel", median(ours), "s"),
        Figure("  ip -batch", median(theirs), "s"),
        Figure("routes run: process start to the last route", started, "s"),
        Figure("one block moves: route changes", 1, "", 1),
        Figure("  event to the kernel's announcement, p50", median(moves) * 1000, "ms", LIMIT),
        Figure("  the slowest", max(moves) * 1000, "ms", LIMIT),
        Figure("one node is not Ready: route changes for each block", 1, "", 1),
        Figure("  event to the kernel's announcement, p50", median(losses) * 1000, "ms", LIMIT),
        Figure("  the slowest", max(losses) * 1000, "ms", LIMIT),
    ]


def _hops(route: Route) -> str:
    if len(route.next_hops) == 1:
        return f"via {route.next_hops[0].address}"
    return " ".join(f"nexthop via {hop.address} weight {hop.weight}" for hop in route.next_hops)


def _must(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()[:300]}")
    return done.stdout


@contextmanager
def namespace() -> Iterator[list[str]]:
    """What runs a command in a new network namespace, whose only neighbours are the nodes. Raises Failed."""
    name = f"dnsbridge-bench-{os.getpid()}-{secrets.token_hex(3)}"
    prefix = ["ip", "netns", "exec", name]
    _must("ip", "netns", "add", name)
    try:
        for line in (
            "link set lo up",
            "link add eth0 type veth peer name nodes",
            "address add 10.200.0.1/16 dev eth0",
            "link set eth0 up",
            "link set nodes up",
        ):
            _must(*prefix, "ip", *line.split())
        yield prefix
    finally:
        _must("ip", "netns", "delete", name)


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="routes to a large cluster")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, one round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    nodes, blocks, rounds, changes = (NODES // 10, BLOCKS // 10, 1, 3) if options.quick else (NODES, BLOCKS, 5, CHANGES)
    if options.inside:
        return report(lambda folder: measure(folder, nodes, blocks, rounds, changes), options.json)
    try:
        with namespace() as prefix:
            command = [*prefix, sys.executable, "-m", "benchmarks.routes", "--inside", *sys.argv[1:]]
            return subprocess.run(command, check=False).returncode
    except Failed as failure:
        print(f"no result: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
