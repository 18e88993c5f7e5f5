"""The API server of the end-to-end tests: `pytest tests/e2e --kubeconfig FILE`, or without it the test API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver.seed import Shape, cluster
from tests.apiserver.server import ApiServer, in_thread


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option --kubeconfig; pytest asks for it only where this folder is named on its command line."""
    parser.addoption("--kubeconfig", metavar="FILE", help="an API server to test against, in a namespace of its own")


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of the API server to test against."""
    given = request.config.getoption("kubeconfig", default=None)
    if given:
        yield Path(given).expanduser().absolute()
        return
    with in_thread(ApiServer()) as server:
        server.load(cluster(Shape(services=50)))
        yield server.kubeconfig(tmp_path_factory.mktemp("e2e") / "kubeconfig")
