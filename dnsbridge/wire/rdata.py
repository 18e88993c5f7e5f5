"""Record data (RDATA) as bytes, names uncompressed, as `compose` takes and `whole_message` gives it.

A 4 octets | AAAA 16 octets (both: the packed address itself)
CNAME, NS, PTR   a name
SRV    priority (2) | weight (2) | port (2) | target (RFC 2782)
SOA    MNAME | RNAME | serial | refresh | retry | expire | minimum (4 each; RFC 1035 section 3.3.13)
TXT    character strings | HINFO  CPU | OS, both character strings
"""

from struct import Struct as Layout

_SRV = Layout("!HHH")
_SOA = Layout("!IIIII")

REFRESH = 7200
RETRY = 1800
EXPIRE = 86400
SOA_NUMBERS_SIZE = _SOA.size


def srv(priority: int, weight: int, port: int, target: bytes) -> bytes:
    """Data of an SRV record; `target` is a name."""
    return _SRV.pack(priority, weight, port) + target


def soa(primary: bytes, mailbox: bytes, serial: int, minimum: int) -> bytes:
    """Data of an SOA record; `minimum` is the negative TTL in seconds (RFC 2308 section 4)."""
    return primary + mailbox + _SOA.pack(serial, REFRESH, RETRY, EXPIRE, minimum)


def character_string(text: bytes) -> bytes:
    """A length-prefixed string of at most 255 octets (RFC 1035 section 3.3)."""
    return b"%c%b" % (len(text), text)


def txt(text: bytes) -> bytes:
    """Data of a TXT record: the text in strings of at most 255 octets."""
    return b"".join(character_string(text[start : start + 255]) for start in range(0, len(text) or 1, 255))


def character_strings(data: bytes) -> list[bytes]:
    """The strings of well-formed TXT or HINFO data."""
    found = []
    position = 0
    while position < len(data):
        length = data[position]
        found.append(data[position + 1 : position + 1 + length])
        position += 1 + length
    return found


def are_character_strings(data: bytes) -> bool:
    """Whether data is one or more character strings, as TXT data is (RFC 1035 section 3.3.14)."""
    position = 0
    while position < len(data):
        position += 1 + data[position]
    return position == len(data) > 0


def hinfo(cpu: bytes, system: bytes) -> bytes:
    """Data of an HINFO record."""
    return character_string(cpu) + character_string(system)


NAMES_AT: dict[int, tuple[int, int]] = {
    2: (0, 1),  # NS
    5: (0, 1),  # CNAME
    6: (0, 2),  # SOA
    12: (0, 1),  # PTR
    14: (0, 2),  # MINFO
    15: (2, 1),  # MX
    17: (0, 2),  # RP
    18: (2, 1),  # AFSDB
    21: (2, 1),  # RT
    33: (6, 1),  # SRV
    36: (2, 1),  # KX
    39: (0, 1),  # DNAME
}
"""Types whose data holds names: the octets before the first name, and the number of consecutive names.

A receiver treats the data of any other type as opaque octets (RFC 3597 section 4).
"""

SIZES: dict[int, int] = {1: 4, 28: 16}
"""Octets of A and AAAA data (class IN)."""

COMPRESSIBLE = frozenset({2, 5, 6, 12})
"""Types whose names this server may compress: NS, CNAME, SOA, PTR (RFC 1035; not SRV, RFC 2782)."""
