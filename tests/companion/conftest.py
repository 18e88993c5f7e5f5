"""What the companion's tests share: a host in a namespace of its own."""

from collections.abc import Iterator

import pytest

from tests.support.companion import host
from tests.support.namespace import Namespace


@pytest.fixture
def place() -> Iterator[Namespace]:
    """A host on the nodes' network."""
    with host() as namespace:
        yield namespace
