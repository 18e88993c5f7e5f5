"""Describes each upstream of the settings in plain words, with its state in a running server; for `config show`.

An upstream is shown like a setting, at a key below its list: `forward[0].upstreams[1]`, `clusters[0].coredns[0]`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from dnsbridge.app.answering.upstream_servers import Server, resolv_confs, servers_of
from dnsbridge.app.facts.upstream_states import State
from dnsbridge.config import Address, Effective, Forward, Loaded, ServiceAddress, StreamAddress, read_server
from dnsbridge.resolvers.forward.patience import DEADLINE
from dnsbridge.watch.resolv_conf import ResolvConf

Found = Sequence[State] | str
"""The states that a running server gives for its upstreams, or why there are none."""
_ORDERS = {
    "sequential": "number {} of {}, asked in this order",
    "random": "number {} of {}, asked in random order",
    "round_robin": "number {} of {}, each is first in turn",
    "fastest": "number {} of {}, the fastest is asked first",
}
_FALLBACKS = {
    "never": "never asked",
    "unsynced": "asked while its objects are not current",
    "unknown": "asked while its objects are not current, and for names of a shape that it does not have",
    "miss": "asked while its objects are not current, and for names that it does not have",
}


class ShownUpstream(Struct, frozen=True):
    """An upstream. The field names are keys of a JSON document, so they stay."""

    zone: str
    """The forward zone; empty for a cluster's CoreDNS."""
    cluster: str
    """The cluster whose CoreDNS it is; empty for the others."""
    server: str
    transport: str
    """`udp`, `tcp` or `tls`; `file` and `service` for a resolv.conf and a Service that stand for no server now."""
    certificate_name: str | None
    """The name or address that its certificate must have; null without TLS."""
    ca: str | None
    """The file of the authorities that may vouch for it, or `system`; null without TLS."""
    policy: str | None
    """Null for a cluster's CoreDNS."""
    position: int
    """In its list, from 1."""
    what: str
    """What it is, in words."""
    state: State | None
    """Its state in the running server; null when that is not known."""
    doing: str
    """How it is doing, in words."""


def shown_upstreams(loaded: Loaded, found: Found) -> Iterator[Effective]:
    """All upstreams of the settings."""
    settings = loaded.settings
    files = resolv_confs(settings.forward, settings.listen)
    for index, forward in enumerate(settings.forward):
        key = f"forward[{index}].upstreams"
        listed = dict(_listed(loaded, key, forward, files))
        running = _running(forward.zone, "", found)
        for server, service in running.items():
            # Not listed: it is of a Service, a file named it before, or the running server has other settings.
            listed.setdefault(server, _origin_of_service(loaded, key, forward, service) or "the running server")
        if set(listed) == set(running):
            # Only the running server knows where a Service's servers stand among the others.
            listed = {server: listed[server] for server in running}
        for position, (server, origin) in enumerate(listed.items(), 1):
            order = _ORDERS[forward.policy].format(position, len(listed)) if len(listed) > 1 else "the only one"
            role = f"for {_names(forward)}, {order}"
            shown = _shown(server, forward, "", position, role, found)
            yield Effective(f"{key}[{position - 1}]", shown, origin)
        useless = [path for path in forward.upstreams if isinstance(path, Path) and files[path].problem]
        for position, path in enumerate(useless, len(listed) + 1):
            origin = _origin(loaded, f"{key}[{forward.upstreams.index(path)}]")
            yield Effective(f"{key}[{position - 1}]", _useless(forward, position, files[path]), origin)
        standing = set(running.values())
        idle = [each for each in forward.upstreams if isinstance(each, ServiceAddress) and str(each) not in standing]
        for position, address in enumerate(idle, len(listed) + len(useless) + 1):
            origin = _origin(loaded, f"{key}[{forward.upstreams.index(address)}]")
            yield Effective(f"{key}[{position - 1}]", _idle(forward, position, address, found), origin)
    for index, cluster in enumerate(settings.clusters):
        key = f"clusters[{index}].coredns"
        addresses, origin = list(_running("", cluster.name, found)), "discovered: Service kube-system/kube-dns"
        if isinstance(cluster.coredns, Address):
            addresses, origin = [cluster.coredns], _origin(loaded, key)
        role = f"CoreDNS of cluster {cluster.name}, {_FALLBACKS[cluster.fallback]}"
        for position, server in enumerate(addresses, 1):
            shown = _shown(server, None, cluster.name, position, role, found)
            yield Effective(f"{key}[{position - 1}]", shown, origin)


def _listed(loaded: Loaded, key: str, said: Forward, files: Mapping[Path, ResolvConf]) -> Iterator[tuple[Server, str]]:
    """The servers of a zone in their order, each with its origin."""
    for server, upstream in servers_of(said, files, {}).items():
        origin = _origin(loaded, f"{key}[{said.upstreams.index(upstream)}]")
        from_file = isinstance(upstream, Path) and not origin.endswith(str(upstream))
        yield server, f"{origin}: {upstream}" if from_file else origin


def _origin(loaded: Loaded, key: str) -> str:
    """The origin of the nearest setting at or above a key."""
    while key and key not in loaded.origins:
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return loaded.origins[key] if key else "default"


def _running(zone: str, cluster: str, found: Found) -> dict[Server, str]:
    """The running server's servers for a zone or a cluster's CoreDNS, each with the Service that stands for it."""
    states = () if isinstance(found, str) else found
    servers = {
        read_server(each.server): each.service for each in states if (each.zone, each.cluster) == (zone, cluster)
    }
    return {server: service for server, service in servers.items() if server}


def _origin_of_service(loaded: Loaded, key: str, said: Forward, service: str) -> str:
    """Where the settings name a Service of the running server; empty if they do not."""
    for index, upstream in enumerate(said.upstreams):
        if isinstance(upstream, ServiceAddress) and str(upstream) == service:
            return f"{_origin(loaded, f'{key}[{index}]')}: {service}"
    return ""


def _shown(
    server: Server, forward: Forward | None, cluster: str, position: int, role: str, found: Found
) -> ShownUpstream:
    transport, name, ca = "udp", None, None
    what = "DNS over UDP, and over TCP for long answers"
    if isinstance(server, StreamAddress):
        transport, what = "tcp", "DNS over TCP"
        if server.tls:
            transport, name = "tls", server.name or server.host
            ca = str(forward.ca) if forward and forward.ca else "system"
            authority = "an authority of this system" if ca == "system" else f"an authority in {ca}"
            what = f"DNS over TLS, with a certificate for {name} by {authority}"
    zone = forward.zone if forward else ""
    state, doing = _doing(zone, cluster, str(server), found)
    policy = forward.policy if forward else None
    return ShownUpstream(
        zone, cluster, str(server), transport, name, ca, policy, position, f"{what}; {role}", state, doing
    )


def _useless(said: Forward, position: int, file: ResolvConf) -> ShownUpstream:
    """A file that names no server."""
    what = f"a resolv.conf; for {_names(said)}"
    doing = f"of no use: {file.problem}"
    return ShownUpstream(said.zone, "", str(file.path), "file", None, None, said.policy, position, what, None, doing)


def _idle(said: Forward, position: int, address: ServiceAddress, found: Found) -> ShownUpstream:
    """A Service that stands for no server as far as is known."""
    what = f"a Service{f' of cluster {address.cluster}' if address.cluster else ''}; for {_names(said)}"
    state, doing = _doing(said.zone, "", str(address), found)
    name, policy = str(address), said.policy
    return ShownUpstream(said.zone, "", name, "service", None, None, policy, position, what, state, doing)


def _names(said: Forward) -> str:
    return "all other names" if said.zone == "." else said.zone


def _doing(zone: str, cluster: str, server: str, found: Found) -> tuple[State | None, str]:
    """The state of an upstream in a running server, and the same in words."""
    if isinstance(found, str):
        return None, f"not known: {found}"
    same = (each for each in found if (each.zone, each.cluster, each.server) == (zone, cluster, server))
    state = next(same, None)
    if state is None:
        return None, "not known: the running server does not have it, so its settings are others"
    if state.server == state.service:
        return state, f"down ({state.problem})"
    if not state.questions and state.condition == "up":
        return state, "up as far as is known: not asked yet"
    since = f" since {state.since}" if state.since else ""
    problem = ""
    if state.problem:
        problem = f" ({state.problem})" if state.condition != "up" else f" (before: {state.problem})"
    rtt = "no reply yet" if state.srtt_ms is None else f"round trip {state.srtt_ms:g} ms"
    counts = [
        f"{count} {one if count == 1 else several}"
        for count, one, several in (
            (state.questions, "question", "questions"),
            (state.timeouts, "timeout", "timeouts"),
            (state.errors, "error", "errors"),
        )
    ]
    if state.slow:
        slow = "question" if state.slow_questions == 1 else "questions"
        counts.append(f"slow since {state.slow_since}: {state.slow_questions} {slow} waited for over {DEADLINE:g} s")
    if (edns := state.without_edns) is not None:
        counts.append(f"EDNS: no ({edns.problem}) since {edns.since}, tried again at {edns.again}")
    return state, ", ".join([f"{state.condition}{since}{problem}", rtt, *counts])
