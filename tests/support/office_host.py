"""A host in the network of the example cluster's nodes (192.168.50.0/24), as a namespace with one interface.

Nobody answers at the nodes' addresses: routes are only looked at.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.support.namespace import Namespace

ADDRESS = "192.168.50.2"
ROUTES = {
    "10.96.0.0/16": "192.168.50.11",
    "10.244.0.0/24": "192.168.50.11",
    "10.244.1.0/24": "192.168.50.12",
    "10.244.2.0/24": "192.168.50.13",
}
"""The routes that it should have, by prefix: the next hop."""


@contextmanager
def office_host(missing: Iterable[str] = ()) -> Iterator[Namespace]:
    """The host with its routes, but for the prefixes that are `missing`."""
    with Namespace("nameserver 127.0.0.1\n") as host:
        for command in (
            "link add eth0 type veth peer name office",
            f"addr add {ADDRESS}/24 dev eth0",
            "link set eth0 up",
            "link set office up",
            *(f"route add {prefix} via {hop}" for prefix, hop in ROUTES.items() if prefix not in set(missing)),
        ):
            done = host.run("ip", *command.split())
            assert not done.returncode, f"ip {command}: {done.stderr}"
        yield host
