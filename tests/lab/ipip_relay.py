"""IPIP (RFC 2003) by hand, where the kernel has none: a tun device on one side, a raw socket on the other.

    python ipip_relay.py tunl0 192.244.190.128/26=10.73.13.1 ...

A packet that the kernel sends into the device goes to the node of its prefix inside a packet of protocol 4. What comes
inside such a packet, from anybody, comes out of the device. The device is there once both are ready.
"""

import fcntl
import os
import select
import socket
import struct
import sys
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network

_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_LARGEST_PACKET = 65536


def main(device: str, nodes: dict[IPv4Network, str]) -> None:
    """Pass packets on until killed."""
    outside = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
    inside = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(inside, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI))
    while True:
        ready, _, _ = select.select([inside, outside.fileno()], [], [])
        if inside in ready:
            packet = os.read(inside, _LARGEST_PACKET)
            to = IPv4Address(packet[16:20])
            node = next((node for prefix, node in nodes.items() if to in prefix), "")
            if packet[0] >> 4 == 4 and node:
                with suppress(OSError):  # the node cannot be reached just now: the packet is lost, as it would be
                    outside.sendto(packet, (node, 0))
        if outside.fileno() in ready:
            packet = outside.recv(_LARGEST_PACKET)
            with suppress(OSError):  # the kernel takes nothing from a device that is down
                os.write(inside, packet[(packet[0] & 0x0F) * 4 :])


if __name__ == "__main__":
    given = [word.split("=") for word in sys.argv[2:]]
    main(sys.argv[1], {IPv4Network(prefix): node for prefix, node in given})
