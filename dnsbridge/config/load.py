"""Loading a configuration file and flags: the settings, and the origin of each."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from dnsbridge.config.check import contradictions
from dnsbridge.config.document import read_document
from dnsbridge.config.flags import Flags, overrides, replaced
from dnsbridge.config.log import Log
from dnsbridge.config.problem import ConfigError, Problem
from dnsbridge.config.read import MAX_PROBLEMS, read_settings
from dnsbridge.config.routes import Routes
from dnsbridge.config.schema import Settings, Source


class Loaded(Struct, frozen=True):
    """Settings that can be used."""

    settings: Settings
    origins: Mapping[str, str]
    """The origin of each key path that is no default: `FILE:LINE`, `flag --NAME` or `discovered: SOURCE`."""

    def with_value(self, key: str, value: Any, origin: str) -> "Loaded":
        """The same with a new value at a key path such as `forward[0].upstreams`."""
        kept = {each: where for each, where in self.origins.items() if not each.startswith((f"{key}.", f"{key}["))}
        return Loaded(replaced(self.settings, key, value), {**kept, key: origin})

    def discovered(self, key: str, value: Any, source: str) -> "Loaded":
        """The same with a setting that was found on this machine or in the cluster; `source` says where."""
        return self.with_value(key, value, f"discovered: {source}")

    def located(self, problem: Problem) -> Problem:
        """A problem with the place where its key, or the nearest section around it, was set."""
        key = problem.key
        while key and key not in self.origins:
            key = re.sub(r"(\.\w+|\[\d+\]|^\w+)$", "", key)
        where = self.origins.get(key, "").removeprefix("flag ")
        return Problem(where, problem.key, problem.text)


def load(path: Path | None, flags: Flags) -> Loaded | ConfigError:
    """The settings of a file (None: all defaults), overridden by the command-line flags.

    Relative paths in the file start at the file's folder, relative paths in flags at the working directory.
    """
    loaded = Loaded(Settings(), {})
    if path is not None:
        file = str(path) if str(path).isprintable() else repr(str(path))
        root = read_document(path, file)
        if isinstance(root, Problem):
            return ConfigError((root,))
        settings, origins, problems = read_settings(root, file)
        if problems:
            return ConfigError(tuple(problems))
        loaded = Loaded(_in_folder(settings, path.parent), {"": file, **origins})
    wrong: list[Problem] = []
    for each in overrides(loaded.settings, flags):
        if isinstance(each, Problem):
            wrong.append(each)
        else:
            loaded = loaded.with_value(each.key, each.value, f"flag --{each.flag}")
    wrong = wrong or [loaded.located(problem) for problem in contradictions(loaded.settings)]
    return ConfigError(tuple(wrong[:MAX_PROBLEMS])) if wrong else loaded


def _in_folder(settings: Settings, folder: Path) -> Settings:
    """The settings with relative paths under the folder of the configuration file."""

    def moved(source: Source) -> Source:
        return structs.replace(
            source,
            manifests=source.manifests and folder / source.manifests,
            kubeconfig=source.kubeconfig and folder / source.kubeconfig,
        )

    clusters = tuple(structs.replace(each, source=moved(each.source)) for each in settings.clusters)
    state_dir = settings.state_dir and folder / settings.state_dir
    forward = tuple(structs.replace(each, ca=each.ca and folder / each.ca) for each in settings.forward)
    routes = _routes_in_folder(settings.routes, folder)
    log = _log_in_folder(settings.log, folder)
    return structs.replace(settings, clusters=clusters, forward=forward, state_dir=state_dir, routes=routes, log=log)


def _log_in_folder(log: Log, folder: Path) -> Log:
    queries, dnstap = log.queries, log.dnstap
    if isinstance(queries.to, Path):
        queries = structs.replace(queries, to=folder / queries.to)
    if isinstance(dnstap.to, Path):
        dnstap = structs.replace(dnstap, to=folder / dnstap.to)
    return structs.replace(log, queries=queries, dnstap=dnstap)


def _routes_in_folder(routes: Routes, folder: Path) -> Routes:
    def moved(section: Any, *names: str) -> Any:
        paths = {name: getattr(section, name) for name in names}
        return structs.replace(section, **{name: path and folder / path for name, path in paths.items()})

    return structs.replace(
        routes,
        tables=tuple([path if isinstance(path, str) else folder / path for path in routes.tables]),
        bgp=structs.replace(routes.bgp, peers=tuple([moved(peer, "password_file") for peer in routes.bgp.peers])),
        bird=moved(routes.bird, "file", "config", "socket"),
        frr=moved(routes.frr, "vty_dir"),
        file=moved(routes.file, "path"),
        pull=moved(routes.pull, "token_file", "ca"),
        serve=moved(routes.serve, "token_file", "certificate", "key"),
    )
