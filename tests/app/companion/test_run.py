"""What the companion says when it ends, by its sinks."""

import pytest

from dnsbridge.app.companion.run import what_stays

STAY = "the routes stay; dnsbridge routes withdraw takes them back"
PEERS = "BGP peers keep what they were told for routes.bgp.graceful_restart"


@pytest.mark.parametrize(
    ("sinks", "said"),
    [({"kernel"}, STAY), ({"bgp"}, PEERS), ({"kernel", "bgp"}, f"{STAY}; {PEERS}"), ({"frr", "file"}, STAY)],
)
def test_what_stays(sinks: set[str], said: str) -> None:
    """A session ends with the process, a table does not."""
    assert what_stays(sinks) == said
