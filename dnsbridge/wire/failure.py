"""The reasons why a question gets no data, as a closed set, and the RCODE of each."""

from enum import Enum

from dnsbridge.wire.constants import ExtendedError, Rcode


class Failure(Enum):
    """A reason, with the RCODE that a client gets and the extended error (RFC 8914) that explains it.

    Each value is `(RCODE, info code, text)`; an info code of None means no extended error.
    """

    MALFORMED = (Rcode.FORMERR, None, "the message does not parse (RFC 1035 section 4)")
    QUESTION_COUNT = (Rcode.FORMERR, None, "QDCOUNT is not 1 (RFC 9619)")
    OPCODE = (Rcode.NOTIMP, None, "opcode other than QUERY")
    UPDATE = (Rcode.REFUSED, None, "dynamic update is not offered")
    EDNS_VERSION = (Rcode.BADVERS, None, "EDNS version over 0 (RFC 6891 section 6.1.3)")
    TRANSFER = (Rcode.REFUSED, ExtendedError.NOT_SUPPORTED, "zone transfer is not offered")
    CLASS = (Rcode.REFUSED, ExtendedError.NOT_SUPPORTED, "no data in this class")
    NOT_ALLOWED = (Rcode.REFUSED, ExtendedError.PROHIBITED, "client is outside access.allow")
    NO_ROUTE = (Rcode.REFUSED, ExtendedError.NOT_AUTHORITATIVE, "no cluster and no forward zone has this name")
    LOOP = (Rcode.REFUSED, ExtendedError.OTHER, "our own fallback question came back to us")
    NOT_READY = (Rcode.SERVFAIL, ExtendedError.NOT_READY, "the cluster has not been read yet")
    NETWORK_ERROR = (Rcode.SERVFAIL, ExtendedError.NETWORK_ERROR, "the cluster's CoreDNS does not answer")
    UPSTREAM = (Rcode.SERVFAIL, ExtendedError.NO_REACHABLE_AUTHORITY, "no upstream gave an answer")
    SLOW_UPSTREAM = (
        Rcode.SERVFAIL,
        ExtendedError.NETWORK_ERROR,
        "the upstream answers others, but gave no answer to this in time",
    )
    CHAIN = (Rcode.SERVFAIL, ExtendedError.OTHER, "CNAME chain over 10 links")
    CHAIN_LOOP = (Rcode.SERVFAIL, ExtendedError.OTHER, "CNAME chain over 10 links: it comes back to one of its names")
    DNAME = (Rcode.YXDOMAIN, None, "a DNAME makes the name longer than 255 octets (RFC 6672 section 2.2)")
    REFERRAL = (
        Rcode.SERVFAIL,
        ExtendedError.OTHER,
        "the upstream does not recurse: it refers to other servers",
    )
    OVERLOAD = (Rcode.SERVFAIL, ExtendedError.OTHER, "too many questions wait for upstreams")
    INTERNAL = (Rcode.SERVFAIL, ExtendedError.OTHER, "internal error, see the server's log")

    def __init__(self, rcode: Rcode, extended_error: ExtendedError | None, text: str) -> None:
        self.rcode = rcode
        self.extended_error = extended_error
        self.text = text
        """One sentence for people: the EXTRA-TEXT of the extended error, and the reason in explanations."""
