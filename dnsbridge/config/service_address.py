"""A Kubernetes Service as an upstream: `service://NAMESPACE/NAME[:PORT][@CLUSTER]`.

service://dns/corp             port 53, in the first cluster of the configuration
service://dns/corp:5353        a port by its number
service://dns/corp:dns-udp     a port by its name
service://dns/corp@dev         in the cluster `dev`
"""

import re
from typing import NamedTuple

from dnsbridge.cluster.checks import LABEL

SCHEME = "service"
PORT = 53
_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_FORM = re.compile(r"(?P<namespace>[^/:@]*)/(?P<name>[^/:@]*)(?::(?P<port>[^/:@]*))?(?:@(?P<cluster>[^/:@]*))?")


class ServiceAddress(NamedTuple):
    """A Service of a cluster, and its port by number or by name."""

    namespace: str
    name: str
    port: int | str = PORT
    cluster: str = ""
    """The name of a cluster of the configuration; empty: the first one."""

    def __str__(self) -> str:
        port = "" if self.port == PORT else f":{self.port}"
        cluster = f"@{self.cluster}" if self.cluster else ""
        return f"{SCHEME}://{self.namespace}/{self.name}{port}{cluster}"


def read_service(rest: str) -> ServiceAddress | str:
    """The Service that follows `service://`, or what is wrong with the text and what to write."""
    found = _FORM.fullmatch(rest)
    if found is None:
        return "has no NAMESPACE/NAME; write service://NAMESPACE/NAME[:PORT][@CLUSTER], such as service://dns/corp"
    for part in ("namespace", "name"):
        if not LABEL[0].fullmatch(found[part]):
            return f'the {part} "{found[part][:70]}" is no DNS label; write {LABEL[1]}'
    if found["cluster"] is not None and not _CLUSTER.fullmatch(found["cluster"]):
        return "no cluster has such a name; write @ and the name of one, or leave @ out for the first"
    port = found["port"]
    if port is None:
        number: int | str = PORT
    elif re.fullmatch("[0-9]+", port):
        if len(port) > 5 or not 1 <= int(port) <= 65535:
            return "has a bad port; write a port from 1 to 65535, or the name of one"
        number = int(port)
    elif LABEL[0].fullmatch(port):
        number = port
    else:
        return "has a bad port; write a port from 1 to 65535, or the name of one"
    return ServiceAddress(found["namespace"], found["name"], number, found["cluster"] or "")
