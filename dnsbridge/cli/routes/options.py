"""Options that the commands of `dnsbridge routes` share, and the settings that they make."""

from typing import Any

import click
from msgspec import structs

from dnsbridge.cli.options import Command, complete_or_fail, load, source_options
from dnsbridge.config import Loaded

_ROUTES = (
    click.option(
        "--table",
        metavar="FILE",
        multiple=True,
        help="What `ip route`, `route -n` or `netstat -rn` prints on a gateway or node, read instead of the cluster; "
        "or Calico's blocks, by etcdctl or calicoctl; may be repeated.",
    ),
    click.option("--via", metavar="WAY", help="Next hops: nodes, gateways or auto.  [default: auto]"),
    click.option(
        "--gateway",
        metavar="ADDR",
        multiple=True,
        help="Route through this gateway instead of the nodes (with --via auto: where those are not on link); "
        "may be repeated.",
    ),
    click.option("--from", "from_url", metavar="URL", help="Take the routes from the dnsbridge there, not a cluster."),
    click.option("--token-file", metavar="FILE", help="The token that it asks for."),
    click.option("--ca", metavar="FILE", help="PEM file of who vouches for its certificate.  [default: the system's]"),
    click.option("--aggregate", is_flag=True, help="Merge prefixes that are the halves of one, by the same next hops."),
)
sink_option = click.option(
    "--sink",
    metavar="NAME",
    multiple=True,
    help="Where to: kernel, bgp, bird, frr or file; may be repeated.  [default: kernel]",
)


def routes_options(command: Command) -> Command:
    """Add the options that say which routes are wanted; the command gets them as `file` and `flags`."""
    for option in reversed(_ROUTES):
        command = option(command)
    return source_options(command)


def load_routes(file: str | None, **flags: Any) -> Loaded:
    """The settings as they would be used on this machine. Raises Failed.

    With saved tables a cluster is read only if one is named; with --from no cluster is read. A --gateway is used for
    everything, unless --via (or routes.via) says otherwise.
    """
    flags["aggregate"] = flags.pop("aggregate", False) or None
    loaded = load(file, **flags)
    if flags["gateway"] and flags["via"] is None and loaded.settings.routes.via == "auto":
        loaded = loaded.with_value("routes.via", "gateways", "flag --gateway")
    settings = loaded.settings
    if settings.routes.pull.url is not None:
        loaded = loaded.with_value("clusters", (), "routes.pull.url")
    elif settings.routes.tables:
        named = tuple([each for each in settings.clusters if each.source != structs.replace(each.source, **_NOWHERE)])
        if named != settings.clusters:
            loaded = loaded.with_value("clusters", named, "routes.tables")
    return complete_or_fail(loaded)


_NOWHERE: dict[str, Any] = {"manifests": None, "kubeconfig": None, "context": None, "in_cluster": False}
