"""Names in random case ("0x20"): a reply that spells the name as it was asked was not guessed."""

import os


def random_case(name: bytes) -> bytes:
    """A folded name with some of its letters in upper case, at least one if it has any."""
    letters = [at for at, octet in enumerate(name) if 0x61 <= octet <= 0x7A]
    if not letters:
        return name
    bits = int.from_bytes(os.urandom(-(-len(letters) // 8)), "big") | 1
    mixed = bytearray(name)
    for order, at in enumerate(letters):
        if bits >> order & 1:
            mixed[at] -= 0x20
    return bytes(mixed)
