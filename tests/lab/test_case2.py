"""Case 2, names and packets together, and what the doctor says at each step.

A name resolves from the start; its pod is reached after `routes apply` and not before; the doctor says so, also when
the gateway loses its way; `routes withdraw` leaves the table as it was.
"""

from pathlib import Path

import pytest

from tests.lab.case2 import NAME, case2
from tests.support.links import must

pytestmark = pytest.mark.needs("netns", "curl")


def test_case_2(tmp_path: Path) -> None:
    """Resolved, not reached; reached after apply; broken at the gateway; withdrawn without a trace."""
    with case2(tmp_path) as lab:
        before = lab.tables()
        assert must(lab.machine, "getent", "ahostsv4", NAME).split()[0] == "192.244.190.130"
        assert lab.fetched() == ""
        assert lab.broken() == {"route": "this host has no route to the address"}
        lab.routes("apply")
        assert (lab.fetched(), lab.fetched(NAME.replace("-0", "-1"))) == ("kafka-0", "kafka-1")
        assert lab.broken() == {}
        must(lab.gateway, "ip", "route", "del", "192.244.190.128/26")
        assert lab.broken() == {"connection": "a router on the way says that it has no way there"}
        must(lab.gateway, "ip", "route", "add", "192.244.190.128/26", "via", "10.73.13.1")
        assert lab.broken() == {}
        lab.routes("withdraw")
        assert lab.tables() == before
