"""The lines of a pasted text, and those among them that say nothing about routes.

    lines         a text -> its lines, each with its number and where it ends
    plain         a line -> the same with plain spaces, without invisible characters and quotation signs
    is_comment    `# node 2`, `// ...`, `; ...`, `...`, the fences of Markdown and of wikis
    heading       a prompt, a command, or the line that a program prints above a host's output -> the host it names

Prompts: `[root@node1 ~]# ip route`, `root@node1:~# route -n`, `node1> ip route`, `$ ssh node1 'ip route'`, `/ # ip r`.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from dnsbridge.routes.pictures.kernel_table import TYPES

LINE_END = re.compile(r"\r\n|\n|\r")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_DESTINATION = re.compile(r"\[?[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*\]?(?:/[0-9]{1,3})?")
_TYPES = frozenset((*TYPES, "default", "nexthop"))
_BULLETS = frozenset((">", ">>", "*", "-", "\u2022"))
_COMMENT = re.compile(r"#|//|;|```|~~~|\{(?:code|noformat)|[\[(]?[.\u2026]+[\])]?$|[-=_*]+$")
_AT_HOST = re.compile(r"(?:\([^)]*\) ?)?\[?[\w.-]+@(?P<host>[\w.-]+)[^#$%>\u276f]*[#$%>\u276f](?: .*)?")
_HOST = re.compile(r"(?P<host>[A-Za-z][\w.-]*)[#$%>](?: .*)?")
_BARE = re.compile(r"(?:[~/][^ ]* |\[[^\]]*\] ?)?[$#%>\u276f\u279c+](?: .*)?|PS [^>]*>.*")
_ABOVE = re.compile(r"(?P<host>[\w.-]+) \| [A-Z]+!? \| rc=\d+ >>|==> (?P<file>.+) <==")
"""The lines that `ansible -m command`, and `head` or `tail` with several files, print above an output."""
_COMMANDS = frozenset(("ip", "route", "netstat", "busybox", "sudo", "ssh", "etcdctl", "calicoctl", "kubectl", "docker"))
_WITH_VALUE = frozenset(("-p", "-i", "-l", "-o", "-F", "-J", "-b", "-c", "-e", "-m", "-S", "-W"))
"""Options of ssh whose value is a word of its own."""
_SHELLS = frozenset(("bash", "sh", "ash", "dash", "zsh"))


class Line(Struct, frozen=True):
    """A line of a text."""

    number: int
    """From 1."""
    at: int
    """Where it begins."""
    end: int
    """Where it ends, without the characters that end it."""
    next: int
    """Where the next line begins; beyond the text for the last line."""


def lines(text: str) -> Iterator[Line]:
    """The lines, with any line ending."""
    at = 0
    number = 0
    for number, found in enumerate(LINE_END.finditer(text), 1):
        yield Line(number, at, found.start(), found.end())
        at = found.end()
    if at < len(text):
        yield Line(number + 1, at, len(text), len(text) + 1)


def plain(line: str) -> str:
    """A line with single plain spaces and without what chats, wikis and mails add."""
    words = _INVISIBLE.sub("", line).split()
    while len(words) > 1 and words[0] in _BULLETS and is_destination(words[1]):
        words = words[1:]
    return " ".join(words)


def is_destination(word: str) -> bool:
    """Whether a route may begin with a word."""
    return word in _TYPES or bool(_DESTINATION.fullmatch(word))


def is_comment(line: str) -> bool:
    """Whether a plain line is a comment, or the frame of a quotation."""
    return bool(_COMMENT.match(line))


def heading(line: str) -> str | None:
    """The host that a prompt or a heading names, empty where it names none; None: the plain line is neither."""
    for form in (_AT_HOST, _HOST, _BARE, _ABOVE):
        if found := form.fullmatch(line):
            named = found.groupdict()
            host = named.get("host") or named.get("file") or ""
            return _remote(line.split()) or ("" if host in _SHELLS or "".join(host.split("-")[:1]) in _SHELLS else host)
    words = line.split()
    return _remote(words) if words[0] in _COMMANDS else None


def _remote(words: Sequence[str]) -> str:
    """The host of an `ssh` command; empty without one."""
    if "ssh" not in words:
        return ""
    rest = iter(words[words.index("ssh") + 1 :])
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, "")
        elif not word.startswith("-"):
            return word.rpartition("@")[2]
    return ""
