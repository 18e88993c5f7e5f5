"""Settings as they will be used: gaps in the file and the flags are filled from this machine, and all is checked."""

from pathlib import Path

from msgspec import structs

from dnsbridge.app.answering.upstream_servers import resolv_confs, servers_of
from dnsbridge.app.this_machine import RESOLV_CONF, in_pod, is_local, kubeconfigs
from dnsbridge.config import Cluster, ConfigError, Forward, Loaded, Problem, ServiceAddress, upstream_is_self
from dnsbridge.tls import client_context


def complete(loaded: Loaded) -> Loaded | ConfigError:
    """The settings with discovered upstreams, or the problems that keep a server from starting with them."""
    settings = loaded.settings
    problems: list[Problem] = []
    for index, cluster in enumerate(settings.clusters):
        if problem := _missing_source(cluster, f"clusters[{index}].source"):
            problems.append(problem)
    for index, forward in enumerate(settings.forward):
        if problem := _bad_authorities(forward, f"forward[{index}].ca"):
            problems.append(problem)
    loaded = discover(loaded)
    problems += _selves(loaded)
    return ConfigError(tuple([loaded.located(problem) for problem in problems])) if problems else loaded


def discover(loaded: Loaded) -> Loaded:
    """The settings with this machine's resolv.conf as the upstream where none is named."""
    for index, forward in enumerate(loaded.settings.forward):
        if forward.zone == "." and not forward.upstreams:
            loaded = loaded.discovered(f"forward[{index}].upstreams", (RESOLV_CONF,), str(RESOLV_CONF))
    return loaded


def without_unfound(loaded: Loaded) -> Loaded:
    """The settings without clusters whose source nobody names, and which is not on this machine either."""
    found = [each for each in loaded.settings.clusters if not _is_unfound(each)]
    return structs.replace(loaded, settings=structs.replace(loaded.settings, clusters=tuple(found)))


def shown(loaded: Loaded) -> Loaded:
    """The settings as they are shown: the servers that a discovered resolv.conf names stand in its place."""
    completed = discover(loaded)
    files = resolv_confs(completed.settings.forward, completed.settings.listen)
    for index, forward in enumerate(completed.settings.forward):
        if forward is not loaded.settings.forward[index]:
            servers = tuple(servers_of(forward, files, {}))
            completed = completed.discovered(f"forward[{index}].upstreams", servers, str(RESOLV_CONF))
    return completed


def _selves(loaded: Loaded) -> tuple[Problem, ...]:
    settings = loaded.settings
    named = [
        each
        for forward in settings.forward
        for each in forward.upstreams
        if not isinstance(each, Path | ServiceAddress)
    ]
    hosts = {server.host for server in named}
    hosts |= {cluster.coredns.host for cluster in settings.clusters if not isinstance(cluster.coredns, str)}
    return upstream_is_self(settings, frozenset(host for host in hosts if is_local(host)))


def _missing_source(cluster: Cluster, key: str) -> Problem | None:
    """The problem with a cluster's source that shows before any request; None: there is none."""
    source = cluster.source
    if source.manifests is not None or source.in_cluster:
        return None
    if source.kubeconfig is not None:
        if source.kubeconfig.is_file():
            return None
        return Problem("", f"{key}.kubeconfig", f"{source.kubeconfig}: no such file; name a kubeconfig that is there")
    if not _is_unfound(cluster):
        return None
    return Problem(
        "",
        key,
        "no cluster found: no kubeconfig ($KUBECONFIG, ~/.kube/config) and not in a pod; name --kubeconfig FILE,"
        " or a file or folder of objects with --manifests PATH",
    )


def _is_unfound(cluster: Cluster) -> bool:
    """Whether nobody names a source, and this machine has none."""
    source = cluster.source
    named = source.manifests is not None or source.kubeconfig is not None or source.in_cluster
    return not named and not (source.context is None and in_pod()) and not kubeconfigs()


def _bad_authorities(forward: Forward, key: str) -> Problem | None:
    """Why the file of certificate authorities cannot be used."""
    if forward.ca is None:
        return None
    try:
        client_context(forward.ca)
    except FileNotFoundError:
        return Problem("", key, f"{forward.ca}: no such file; name a PEM file of certificates")
    except OSError:
        return Problem("", key, f"{forward.ca}: cannot be read as certificates; name a PEM file of certificates")
    return None
