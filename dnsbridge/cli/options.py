"""Options that several commands share, and how they become settings."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from dnsbridge import config
from dnsbridge.app.found_settings import complete
from dnsbridge.config import Address, ConfigError, Flags, Loaded, read_server

Command = TypeVar("Command", bound=Callable[..., Any])

_SOURCE = (
    click.option("--config", "file", metavar="FILE", help="Configuration file (YAML)."),
    click.option("--manifests", metavar="PATH", help="A file or folder of Kubernetes objects (YAML or JSON)."),
    click.option("--kubeconfig", metavar="FILE", help="Read the cluster from the API server that this names."),
    click.option("--context", metavar="NAME", help="Context of the kubeconfig."),
    click.option("--zone", metavar="ZONE", help="Zone of the cluster.  [default: cluster.local]"),
    click.option(
        "--upstream",
        metavar="ADDR[:PORT]",
        multiple=True,
        help="DNS server for all other names, also tcp://ADDR, tls://ADDR#NAME, /PATH/resolv.conf; may be repeated.",
    ),
)
_SERVER = (
    click.option(
        "--listen",
        metavar="ADDR:PORT",
        multiple=True,
        help="Answer here, UDP and TCP; may be repeated.  [default: 0.0.0.0:53 [::]:53]",
    ),
    click.option("--http", metavar="ADDR:PORT", help="Metrics and health; '' for none.  [default: 127.0.0.1:9153]"),
    click.option("--workers", type=int, metavar="N", help="Processes that answer on one port.  [default: 1]"),
)
output_option = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people, or programs.",
)


def source_options(command: Command) -> Command:
    """The options that say where names come from."""
    for option in reversed(_SOURCE):
        command = option(command)
    return command


def server_options(command: Command) -> Command:
    """The options of a running server."""
    for option in reversed(_SERVER):
        command = option(command)
    return command


class Failed(click.ClickException):
    """An error of one or several lines, each complete in itself; exit code 1."""


class BadUsage(Failed):
    """An error in what was typed; exit code 2."""

    exit_code = 2


def load(file: str | None, **flags: Any) -> Loaded:
    """The settings as they are written. Raises Failed."""
    return _or_fail(config.load(Path(file) if file else None, Flags(**flags)))


def load_complete(file: str | None, **flags: Any) -> Loaded:
    """The settings as a server would use them on this machine. Raises Failed."""
    return complete_or_fail(load(file, **flags))


def complete_or_fail(loaded: Loaded) -> Loaded:
    """Settings as they would be used on this machine. Raises Failed."""
    return _or_fail(complete(loaded))


def _or_fail(found: Loaded | ConfigError) -> Loaded:
    if isinstance(found, ConfigError):
        raise BadUsage(str(found)) if found.exit_code == BadUsage.exit_code else Failed(str(found))
    return found


def addresses(option: str, texts: Iterable[str], example: str) -> list[Address]:
    """Servers that an option names, each with its port or 53. Raises BadUsage."""
    found = []
    for text in texts:
        server = read_server(text)
        if not isinstance(server, Address):
            raise BadUsage(f"{option}: {text}: not an address; write it like {example} or {example}:5300")
        found.append(server)
    return found
