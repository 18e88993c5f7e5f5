"""How many examples hypothesis draws for a property, and which.

By default the same ones every time, so that a red run is red again. DNSBRIDGE_DEEP=1 (`make test DEEP=1`) draws a
hundred times as many, at random. What fails is shown with a line that draws it again (`@reproduce_failure`).

    load_profile    what conftest calls before the tests are read
    examples        settings of a property that needs more or fewer examples than others
    times           how many a test draws that draws by itself
"""

import os

from hypothesis import HealthCheck, settings

DEEP = os.environ.get("DNSBRIDGE_DEEP", "") not in ("", "0")
EXAMPLES = 50
_TIMES = 100 if DEEP else 1
_TOO_SLOW = HealthCheck.too_slow
"""A verdict by the wall clock, like hypothesis' deadline: a busy machine draws slowly."""


def load_profile() -> None:
    """Set what holds for all properties."""
    settings.register_profile(
        "dnsbridge",
        max_examples=times(EXAMPLES),
        derandomize=not DEEP,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[_TOO_SLOW],
    )
    settings.load_profile("dnsbridge")


def times(count: int) -> int:
    """`count`, or a hundred times as many."""
    return count * _TIMES


def examples(count: int, *suppressed: HealthCheck) -> settings:
    """The settings of a property for which `count` examples are drawn."""
    return settings(max_examples=times(count), suppress_health_check=[_TOO_SLOW, *suppressed])
