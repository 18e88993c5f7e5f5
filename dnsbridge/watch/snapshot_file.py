"""Snapshot files: written atomically while the cluster is followed, and read once at the start."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from dnsbridge.cluster import snapshot
from dnsbridge.cluster.objects import Object
from dnsbridge.cluster.snapshot import Damaged, Snapshot
from dnsbridge.errors import of_system

log = logging.getLogger(__name__)

MAX_SIZE = 1 << 30
"""Octets; a larger file is not a snapshot of ours."""


def snapshot_path(state_dir: Path, cluster: str) -> Path:
    """The path of a cluster's snapshot; its last part is a plain file name, whatever the cluster is called."""
    return state_dir / f"{re.sub(r'[^A-Za-z0-9._-]', '_', cluster)}.snapshot"


def load(path: Path) -> Snapshot | None:
    """The snapshot of an earlier run; None if there is none, or, with a warning, if it cannot be used."""
    try:
        if path.stat().st_size > MAX_SIZE:
            log.warning("%s: larger than %d octets; not used", path, MAX_SIZE)
            return None
        found = snapshot.read(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s: %s; starting without it", path, of_system(error))
        return None
    if isinstance(found, Damaged):
        log.warning("%s: %s; not used, the API server is asked for everything", path, found.problem)
        return None
    return found


async def save(path: Path, objects: Iterable[Object], saved_at: float) -> bool:
    """Write a snapshot beside the old one, then replace the old one; False, with a warning, if that failed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        with beside.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            pause_at = time.perf_counter()
            for octets in snapshot.write(objects, saved_at):
                file.write(octets)
                if time.perf_counter() - pause_at > 0.001:
                    await asyncio.sleep(0)
                    pause_at = time.perf_counter()
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        beside.replace(path)
    except OSError as error:
        log.warning("%s: %s; no snapshot is kept", path, of_system(error))
        return False
    return True
