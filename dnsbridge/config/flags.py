"""Command-line flags: short forms of settings that override the configuration file.

--listen --http --workers              the settings of the same names
--manifests --kubeconfig --context     the source of the only cluster
--zone                                 the zone of the only cluster
--upstream                             the upstreams of the forward zone "."
--via --aggregate                      the settings of `routes` of the same names
--gateway --table --sink               routes.gateways.addresses, routes.tables, routes.sinks
--from --token-file --ca               routes.pull
--http of `routes run`                 routes.http
"""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, structs

from dnsbridge.config.problem import Problem
from dnsbridge.config.read import read_value
from dnsbridge.config.routes import Gateways, Pull, Routes
from dnsbridge.config.schema import Cluster, Forward, Settings, Source
from dnsbridge.config.section import Section
from dnsbridge.config.shape import Items, Shape, settings_of
from dnsbridge.config.values import BadValueError, Scalar


class Flags(Struct, frozen=True, kw_only=True):
    """The flags as they were typed; None or empty: not given."""

    listen: tuple[str, ...] = ()
    http: str | None = None
    manifests: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    zone: str | None = None
    upstream: tuple[str, ...] = ()
    workers: int | None = None
    via: str | None = None
    aggregate: bool | None = None
    gateway: tuple[str, ...] = ()
    table: tuple[str, ...] = ()
    sink: tuple[str, ...] = ()
    from_url: str | None = None
    token_file: str | None = None
    ca: str | None = None
    routes_http: str | None = None


class Override(Struct, frozen=True):
    """A setting that a flag sets."""

    flag: str
    key: str
    value: Any


def overrides(settings: Settings, flags: Flags) -> Iterator[Override | Problem]:
    """The settings of the flags, in order, and the problems with them."""
    if flags.listen:
        yield _list("listen", "listen", Settings, flags.listen)
    if flags.http is not None:
        yield _one("http", "http", Settings, Scalar(flags.http, flags.http))
    if flags.workers is not None:
        yield _one("workers", "workers", Settings, Scalar(str(flags.workers), flags.workers))
    for flag, key, text in (
        ("from", "routes.pull.url", flags.from_url),
        ("token-file", "routes.pull.token_file", flags.token_file),
        ("ca", "routes.pull.ca", flags.ca),
    ):
        if text is not None:
            yield _one(flag, key, Pull, Scalar(text, text))
    yield from _cluster(settings, flags)
    yield from _routes(flags)
    if flags.upstream:
        index = next((index for index, each in enumerate(settings.forward) if each.zone == "."), len(settings.forward))
        if index == len(settings.forward):
            yield Override("upstream", f"forward[{index}]", Forward())
        yield _list("upstream", f"forward[{index}].upstreams", Forward, flags.upstream)


def _cluster(settings: Settings, flags: Flags) -> Iterator[Override | Problem]:
    texts = {name: getattr(flags, name) for name in ("manifests", "kubeconfig", "context", "zone")}
    given = [name for name, text in texts.items() if text is not None]
    if given and len(settings.clusters) != 1:
        names = ", ".join(cluster.name for cluster in settings.clusters[:10]) or "none"
        yield Problem(f"--{given[0]}", "", f"needs a configuration with one cluster; this one has: {names}")
        return
    if given[:1] == ["manifests"]:
        for other in given[1:]:
            if other != "zone":
                yield Problem("--manifests", "", f"does not go together with --{other}; leave one of them out")
                return
    for name in given:
        section: type[Section] = Cluster if name == "zone" else Source
        if name in ("manifests", "kubeconfig"):
            yield Override(name, "clusters[0].source", Source())  # the file's settings belong to another source
        key = "clusters[0].zone" if name == "zone" else f"clusters[0].source.{name}"
        yield _one(name, key, section, Scalar(texts[name], texts[name]))


def _routes(flags: Flags) -> Iterator[Override | Problem]:
    if flags.via is not None:
        yield _one("via", "routes.via", Routes, Scalar(flags.via, flags.via))
    if flags.aggregate is not None:
        yield _one("aggregate", "routes.aggregate", Routes, Scalar(str(flags.aggregate), flags.aggregate))
    if flags.routes_http is not None:
        yield _one("http", "routes.http", Routes, Scalar(flags.routes_http, flags.routes_http))
    if flags.gateway:
        yield _list("gateway", "routes.gateways.addresses", Gateways, flags.gateway)
    if flags.table:
        yield _list("table", "routes.tables", Routes, flags.table)
    if flags.sink:
        yield _list("sink", "routes.sinks", Routes, flags.sink)


def _one(flag: str, key: str, section: type[Section], scalar: Scalar) -> Override | Problem:
    shape = Shape(settings_of(section)[_last(key)].shape.form)  # no flag can say null
    try:
        return Override(flag, key, read_value(shape, scalar))
    except BadValueError as error:
        return Problem(f"--{flag}", "", str(error))


def _list(flag: str, key: str, section: type[Section], texts: tuple[str, ...]) -> Override | Problem:
    form = settings_of(section)[_last(key)].shape.form
    assert isinstance(form, Items)
    try:
        return Override(flag, key, tuple(read_value(form.item, Scalar(text, text)) for text in texts))
    except BadValueError as error:
        return Problem(f"--{flag}", "", str(error))


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def replaced(settings: Settings, key: str, value: Any) -> Settings:
    """The settings with a new value at a key path (`clusters[0].zone`); an index just past a list's end appends."""
    changed = _replaced(settings, re.findall(r"\w+", key), value)
    assert isinstance(changed, Settings)
    return changed


def _replaced(old: Any, steps: list[str], value: Any) -> Any:
    if not steps:
        return value
    step, *rest = steps
    if isinstance(old, tuple):
        index = int(step)
        child = old[index] if index < len(old) else None
        return (*old[:index], _replaced(child, rest, value), *old[index + 1 :])
    return structs.replace(old, **{step: _replaced(getattr(old, step), rest, value)})
