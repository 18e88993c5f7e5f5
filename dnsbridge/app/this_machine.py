"""Facts about this machine: where its files are, and its own addresses. Nothing here sends a packet."""

import os
import socket
from pathlib import Path

from dnsbridge.config import Address

RESOLV_CONF = Path("/etc/resolv.conf")
SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses for documentation (RFC 5737, RFC 3849); connecting a UDP socket only asks the routing table."""


def is_local(host: str) -> bool:
    """Whether an address is this machine's own: only then can a socket be bound to it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def own_addresses(listen: tuple[Address, ...]) -> tuple[str, ...]:
    """The addresses at which others reach a server that listens there; for a wildcard, the one used towards outside."""
    found: dict[str, None] = {}
    for host, _ in listen:
        if host not in ("0.0.0.0", "::"):
            found[host.partition("%")[0]] = None
            continue
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((_ELSEWHERE[family], 53))
                found[probe.getsockname()[0]] = None
        except OSError:
            continue
    return tuple(found)


def in_pod() -> bool:
    """Whether this runs in a pod that may ask its API server."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and SERVICE_ACCOUNT_TOKEN.is_file()


def kubeconfigs() -> tuple[Path, ...]:
    """The kubeconfig files that exist: those of $KUBECONFIG, else ~/.kube/config."""
    paths = os.environ.get("KUBECONFIG", "").split(os.pathsep) if os.environ.get("KUBECONFIG") else ["~/.kube/config"]
    found = [Path(os.path.expanduser(path)) for path in paths if path]
    return tuple([path for path in found if path.is_file()])
