"""Files that are replaced whole, and what the system says of an error."""

import os
from pathlib import Path

import pytest

from dnsbridge.errors import of_system
from dnsbridge.files import replace


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_replace(tmp_path: Path, mode: int) -> None:
    """A new file, then an old one through a link: the link stays, the mode is as asked, and nothing is left beside."""
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(file)
    for octets in (b"one", b"two"):
        replace(link, octets, mode)
        assert (link.is_symlink(), file.read_bytes(), file.stat().st_mode & 0o7777) == (True, octets, mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_what_cannot_be_replaced(tmp_path: Path) -> None:
    """A folder stays as it is, and nothing is left beside it."""
    folder = tmp_path / "folder"
    (folder / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        replace(folder, b"octets", 0o644)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(2, os.strerror(2)), "no such file or directory"),
        (OSError("Strange"), "strange"),
        (ValueError("over 3 Octets"), "over 3 Octets"),
    ],
)
def test_of_system(error: Exception, said: str) -> None:
    """An OSError in the system's words, in lower case; others as they are."""
    assert of_system(error) == said
