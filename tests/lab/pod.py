"""A pod of a lab: a namespace behind its node, with an HTTP server that says which pod it is.

with pod(node, "192.244.190.130/32", "kafka-0", 9092, log):         behind the node, as Calico joins it
with pod(node, "10.60.0.101/24", "db-0", 5432, log, "eth0"):        on the link of the node's `eth0`, by MACVLAN

Behind its node a pod has a cable (veth) to it and a gateway whose address nobody has: the pod knows the link address of
the node's end. The node has a route to the one address.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_interface
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.links import MTU, must
from tests.support.namespace import Namespace

_GATEWAY, _LINK_ADDRESS = "169.254.1.1", "ee:ee:ee:ee:ee:ee"
"""Calico's."""
_SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Pod(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())
ThreadingHTTPServer(("", int(sys.argv[1])), Pod).serve_forever()
"""


@contextmanager
def pod(
    node: Namespace, address: str, name: str, port: int, log: Path, parent: str = "", mtu: int = MTU
) -> Iterator[Namespace]:
    """The pod's namespace, from when it listens; at the end the node has no route to it any more.

    `parent` is the node's device of the link that the pod is on; without it the pod is behind the node.
    """
    with Namespace("") as host:
        if parent:
            link = ["link", parent, "name", "eth0", "netns", host.name, "type", "macvlan", "mode", "bridge"]
            must(node, "ip", "link", "add", *link)
        else:
            alone = ip_interface(address).ip
            device = f"cali{int(alone):08x}"
            link = [device, "mtu", str(mtu), "address", _LINK_ADDRESS, "type", "veth"]
            must(node, "ip", "link", "add", *link, "peer", "name", "eth0", "mtu", str(mtu), "netns", host.name)
            must(node, "ip", "link", "set", device, "up")
            must(node, "ip", "route", "add", str(alone), "dev", device, "scope", "link")
        must(host, "ip", "address", "add", address, "dev", "eth0")
        must(host, "ip", "link", "set", "eth0", "up")
        if not parent:
            must(host, "ip", "neigh", "add", _GATEWAY, "lladdr", _LINK_ADDRESS, "dev", "eth0")
            must(host, "ip", "route", "add", "default", "via", _GATEWAY, "dev", "eth0", "onlink")
        command = [sys.executable, "-c", _SERVER, str(port), name]
        with Daemon(host, command, log) as server:
            server.wait(lambda: f":{port} " in must(host, "ss", "--tcp", "--listening", "--numeric"))
            yield host
            # The namespace takes its time to go.
            must(host, "ip", "link", "del", "eth0")
