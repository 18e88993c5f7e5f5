"""A link of the chain from a name to its service: whether it holds, how that was seen, and what mends it."""

from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    """Whether a link holds."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It could not be seen from here, or an earlier link leaves nothing to look at."""


class Link(Struct, frozen=True):
    """One link. `link` and `state` are stable keys of a JSON document."""

    link: str
    state: State
    evidence: str
    """What was seen, for people."""
    cause: str = ""
    """Of a failed link: why, in one sentence."""
    mend: str = ""
    """Of a failed link: the command or the step that mends it."""


PLAN = "dnsbridge routes plan; dnsbridge routes apply sets what it shows"
"""What mends a route that is missing."""


def ok(link: str, evidence: str) -> Link:
    """A link that holds."""
    return Link(link, State.OK, evidence)


def failed(link: str, evidence: str, cause: str, mend: str) -> Link:
    """A link that is broken."""
    return Link(link, State.FAILED, evidence, cause, mend)


def unknown(link: str, evidence: str) -> Link:
    """A link of which nothing is known, and why."""
    return Link(link, State.UNKNOWN, evidence)
