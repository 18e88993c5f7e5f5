"""Hosts joined by a switch: network namespaces whose `eth0` are veth pairs into a bridge in a namespace of its own.

    with Switch() as switch:
        router = switch.host("10.200.20.254/24", "fd00:20::fe/64")
        node = switch.host("10.200.20.105/24")
        node.run("curl", "http://10.200.20.254/")

All of it is gone at the end of `with`; what was started in the namespaces must have been ended before.
"""

from contextlib import ExitStack
from types import TracebackType

from tests.support.namespace import Namespace

MTU = 1500


class Switch:
    """One layer 2. Needs root."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.bridge = Namespace("")
        """Where `br0` is."""
        self.ports: dict[str, str] = {}
        """The last port of `br0` that each host got, by the name of its namespace."""
        self._made = 0

    def __enter__(self) -> "Switch":
        self._stack.enter_context(self.bridge)
        try:
            must(self.bridge, "ip", "link", "add", "br0", "type", "bridge")
            must(self.bridge, "ip", "link", "set", "br0", "up")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def host(self, *addresses: str, resolv_conf: str = "") -> Namespace:
        """A new host with these addresses (`10.0.0.1/24`) on its `eth0`."""
        host = self._stack.enter_context(Namespace(resolv_conf))
        self.join(host, "eth0", *addresses)
        return host

    def join(self, host: Namespace, device: str, *addresses: str) -> None:
        """A port of the switch as this device of a host, that may have others."""
        port = self.ports[host.name] = f"port{self._made}"
        self._made += 1
        must(self.bridge, "ip", "link", "add", port, "type", "veth", "peer", "name", device, "netns", host.name)
        must(self.bridge, "ip", "link", "set", port, "master", "br0", "up")
        for address in addresses:
            # Without duplicate address detection an IPv6 address can be used at once.
            flags = ["nodad"] if ":" in address else []
            must(host, "ip", "address", "add", address, "dev", device, *flags)
        must(host, "ip", "link", "set", device, "mtu", str(MTU), "up")


def must(host: Namespace, *command: str) -> str:
    """What a command in a namespace prints. Fails the test when the command does."""
    done = host.run(*command)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
