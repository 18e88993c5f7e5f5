"""What the reverse path filter of this host does to packets that come in (ip-sysctl, rp_filter)."""

from pathlib import Path

_SETTINGS = Path("/proc/sys/net/ipv4/conf")
_COUNTERS = Path("/proc/thread-self/net/netstat")
_COUNTER = "IPReversePathFilter"


def turned_away() -> int:
    """Packets that it has dropped so far; 0 where that cannot be read."""
    try:
        lines = [line.split() for line in _COUNTERS.read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError):
        return 0
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        if _COUNTER in names:
            return int(values[names.index(_COUNTER)])
    return 0


def strict_devices() -> tuple[str, ...]:
    """Devices that take no packet whose sender is not reached through them; the larger of two values counts."""
    try:
        names = sorted(each.name for each in _SETTINGS.iterdir())
    except OSError:
        return ()
    for_all = _value("all")
    return tuple([name for name in names if name not in ("all", "default") and max(for_all, _value(name)) == 1])


def _value(device: str) -> int:
    try:
        return int((_SETTINGS / device / "rp_filter").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
