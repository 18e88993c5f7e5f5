"""The table of what upstreams do: every row names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROWS = [
    line
    for line in (ROOT / "docs" / "upstreams.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("|---")
]


def test_every_row_has_its_test() -> None:
    """A file is named once and holds for the rows below it."""
    file = Path()
    named = 0
    for row in ROWS:
        tests = row.rpartition(" | ")[2]
        for word in re.findall(r"`([^`]+)`", tests):
            if word.startswith("tests/"):
                file = ROOT / word
                assert file.is_file(), row
            else:
                assert f"def {word}(" in file.read_text(encoding="utf-8"), row
            named += 1
        assert tests.strip(" |") == "test" or re.search(r"`tests?[/_]", tests), row
    assert named > len(ROWS)
