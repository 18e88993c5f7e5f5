"""What a client or an office DNS server is told: where dnsbridge is, and which zones it answers for."""

from msgspec import Struct

PORT = 53


class Server(Struct, frozen=True):
    """Where dnsbridge answers."""

    host: str
    """A numeric address."""
    port: int = PORT

    def at(self, mark: str) -> str:
        """The address, and the port after a mark where it is not 53."""
        return self.host if self.port == PORT else f"{self.host}{mark}{self.port}"


class Names(Struct, frozen=True):
    """The zones of all clusters. Names are without a final dot."""

    servers: tuple[Server, ...]
    """At least one."""
    zones: tuple[str, ...]
    """Zones and aliases of the clusters."""
    reverse: tuple[str, ...] = ()
    """Their reverse zones, each as small as the clusters' prefixes."""

    @property
    def all(self) -> tuple[str, ...]:
        """All zones."""
        return self.zones + self.reverse
