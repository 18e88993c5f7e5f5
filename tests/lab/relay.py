"""Passes frames on between two TAP devices, late, and loses some: a bad line where the kernel has no netem.

    python relay.py NEAR FAR DELAY LOSS SEED

It makes the devices, in the namespace in which it runs. The delay is in seconds, the loss a share of 1, both each way.
"""

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque

_TUNSETIFF = 0x400454CA
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_LARGEST_FRAME = 65536


def tap(name: str) -> int:
    """The file of a new TAP device, whose frames are whole: it is told of no offloading."""
    file = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return file


def main(near: str, far: str, delay: float, loss: float, seed: int) -> None:
    """Pass frames on until killed."""
    ends = tap(near), tap(far)
    other = dict(zip(ends, reversed(ends), strict=True))
    chance = random.Random(seed)
    late: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait = max(0, late[0][0] - time.monotonic()) if late else None
        for file in select.select(ends, [], [], wait)[0]:
            frame = os.read(file, _LARGEST_FRAME)
            if chance.random() >= loss:
                late.append((time.monotonic() + delay, other[file], frame))
        while late and late[0][0] <= time.monotonic():
            _, file, frame = late.popleft()
            os.write(file, frame)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
