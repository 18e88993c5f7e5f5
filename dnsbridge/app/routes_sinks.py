"""From settings to the sinks that routes are pushed to."""

from collections.abc import Callable, Mapping

from dnsbridge.config import Routes
from dnsbridge.routes.sink import Sink, SinkProblem
from dnsbridge.routes.sinks.kernel import KernelSink

DEFAULT = ("kernel",)
"""Where routes go when nothing is said."""


def sinks_of(routes: Routes) -> list[Sink]:
    """The sinks of the setting `routes.sinks`, in its order; nothing is opened yet. Raises SinkProblem."""
    return [_sink(name, routes) for name in dict.fromkeys(routes.sinks or DEFAULT)]


def _sink(name: str, routes: Routes) -> Sink:
    make = _MAKERS.get(name)
    if make is None:
        raise SinkProblem(f"sink {name}: not in this version yet; choose of: {', '.join(sorted(_MAKERS))}")
    return make(routes)


def _kernel(routes: Routes) -> Sink:
    said = routes.kernel
    return KernelSink(said.table, said.protocol, said.metric)


_MAKERS: Mapping[str, Callable[[Routes], Sink]] = {"kernel": _kernel}
"""By the names of routes.sinks."""
