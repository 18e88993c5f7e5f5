"""How far a cluster's known objects can be trusted."""

from enum import Enum


class Freshness(Enum):
    """The freshness of one cluster's objects."""

    FRESH = "fresh"
    STALE = "stale"
    """The source has given no sign of life for `max_staleness`."""
    UNSYNCED = "unsynced"
    """Nothing has been read yet: nobody can say that a name does not exist."""
