"""What this host's own files say of looking names up: nsswitch.conf(5) and resolv.conf(5)."""

from pathlib import Path

NSSWITCH = Path("/etc/nsswitch.conf")
MAX_OCTETS = 1 << 16
MAX_NDOTS = 15
"""Of glibc."""


def nsswitch(path: Path = NSSWITCH) -> tuple[str, ...]:
    """The words of its line `hosts`; none where there is no such file or line."""
    for line in _lines(path):
        key, mark, rest = line.partition(":")
        if mark and key.strip() == "hosts":
            return tuple(rest.partition("#")[0].split())
    return ()


def search(path: Path) -> tuple[str, ...]:
    """The search list; the last line of search or domain counts."""
    found: tuple[str, ...] = ()
    for line in _lines(path):
        words = line.split()
        if len(words) > 1 and words[0] in ("search", "domain"):
            found = tuple(words[1:])
    return found


def ndots(path: Path) -> int:
    """The dots of a name that make the search list come after the name itself; the last option counts."""
    found = 1
    for line in _lines(path):
        words = line.split()
        values = [word.removeprefix("ndots:") for word in words[1:] if word.startswith("ndots:")]
        if words and words[0] == "options" and values and values[-1].isdecimal():
            found = min(int(values[-1]), MAX_NDOTS)
    return found


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            return file.read(MAX_OCTETS).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
