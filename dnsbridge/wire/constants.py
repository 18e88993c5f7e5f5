"""The numbers of the DNS protocol that this program uses, by their IANA names."""

from enum import IntEnum


class Type(IntEnum):
    """RR types and query types (IANA "DNS Parameters"; RFC 1035 section 3.2.2 and later)."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    HINFO = 13
    MX = 15
    TXT = 16
    RP = 17
    AFSDB = 18
    AAAA = 28
    SRV = 33
    NAPTR = 35
    KX = 36
    DNAME = 39
    OPT = 41
    RRSIG = 46
    IXFR = 251
    AXFR = 252
    ANY = 255


class Class(IntEnum):
    """Classes (RFC 1035 section 3.2.4)."""

    IN = 1
    CH = 3
    ANY = 255


class Opcode(IntEnum):
    """Opcodes (RFC 1035 section 4.1.1, RFC 2136)."""

    QUERY = 0
    UPDATE = 5


class Rcode(IntEnum):
    """Response codes (RFC 1035 section 4.1.1); codes over 15 need EDNS (RFC 6891 section 6.1.3)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    BADVERS = 16


class ExtendedError(IntEnum):
    """Info codes of the extended error option (RFC 8914 section 4)."""

    OTHER = 0
    STALE_ANSWER = 3
    NOT_READY = 14
    PROHIBITED = 18
    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21
    NO_REACHABLE_AUTHORITY = 22
    NETWORK_ERROR = 23


class Option(IntEnum):
    """EDNS option codes (IANA "DNS EDNS0 Option Codes")."""

    COOKIE = 10
    TCP_KEEPALIVE = 11
    PADDING = 12
    EXTENDED_ERROR = 15


# Bits of the header's second 16-bit word (RFC 1035 section 4.1.1; AD and CD: RFC 4035 section 3).
QR = 0x8000
AA = 0x0400
TC = 0x0200
RD = 0x0100
RA = 0x0080
Z = 0x0040
AD = 0x0020
CD = 0x0010

HEADER_SIZE = 12
MAX_NAME = 255
"""Octets of a name on the wire, its root label included (RFC 1035 section 2.3.4)."""
MAX_LABEL = 63
MAX_MESSAGE = 65535
MAX_DATAGRAM = 65507
"""Octets of a message that fit into one UDP datagram over IPv4."""
CLASSIC_UDP_SIZE = 512
"""Most octets that a client without EDNS accepts over UDP (RFC 1035 section 4.2.1)."""
ADVERTISED_UDP_SIZE = 1232
"""Most octets that this server says it accepts over UDP: they fit an IPv6 packet that is never fragmented."""
