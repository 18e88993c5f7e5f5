"""One canonical form for all questions that differ only in the case of the name or in a DNS cookie.

    question     the octets of a message after its ID: flags and counts (10) | name | type, class | OPT
    canonical    the same with the name in lower case, and without a DNS cookie (RFC 7873) that is the OPT's only option

The answers to questions with one canonical form differ only in the name that they repeat, so one answer serves all.
"""

_NAME = 10
"""Offset of the name."""
_TYPE_AND_CLASS = 4
_OPT = b"\x00\x00\x29"
"""The start of an OPT record: owner and type (RFC 6891 section 6.1.2)."""
_OPT_LENGTH = 9
_OPT_DATA = 11
"""Offsets in an OPT record of the length of its data, and of the data."""
_COOKIE = b"\x00\x0a"
_OPTION_HEADER = 4


def canonical(question: bytes) -> bytes:
    """The canonical form; the same object if the question is canonical already or is no plain question."""
    end = question.find(0, _NAME) + 1
    if not end:
        return question
    name = question[_NAME:end]
    folded = name.lower()
    opt = end + _TYPE_AND_CLASS
    data = opt + _OPT_DATA
    size = len(question) - data
    if size > _OPTION_HEADER and question[data : data + 2] == _COOKIE and question[opt : opt + 3] == _OPT:
        lengths = question[data - 2 : data] + question[data + 2 : data + _OPTION_HEADER]
        if lengths == size.to_bytes(2, "big") + (size - _OPTION_HEADER).to_bytes(2, "big"):
            return question[:_NAME] + folded + question[end : opt + _OPT_LENGTH] + b"\x00\x00"
    if folded == name:
        return question
    return question[:_NAME] + folded + question[end:]


def as_asked(body: bytes, question: bytes) -> bytes:
    """The body of the answer to a question, from the body of the answer to its canonical form."""
    end = question.find(0, _NAME) + 1
    return body[:_NAME] + question[_NAME:end] + body[end:]
