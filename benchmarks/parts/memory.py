"""The memory of a process, from proc(5), in MB (10^6 octets)."""

from pathlib import Path


def resident(pid: int) -> float:
    """What is resident now."""
    return _field(pid, "VmRSS")


def peak(pid: int) -> float:
    """The most that was resident since the start or `forget_peak`."""
    return _field(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Let the peak be what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def private(pid: int) -> float:
    """What no other process has a part in."""
    return _field(pid, "Private_Clean", "smaps_rollup") + _field(pid, "Private_Dirty", "smaps_rollup")


def proportional(pid: int) -> float:
    """What is resident, with the share of one of those that share it."""
    return _field(pid, "Pss", "smaps_rollup")


def _field(pid: int, name: str, file: str = "status") -> float:
    for line in Path(f"/proc/{pid}/{file}").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"no {name} in the {file} of process {pid}")
