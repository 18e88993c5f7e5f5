"""The settings of what is written about the program and its questions (see schema)."""

from typing import Annotated, Literal

from msgspec import Meta

from dnsbridge.config.section import Section
from dnsbridge.config.values import File, Tap, Text, whole

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]
Sample = Annotated[int, whole(1, 1_000_000)]


class QueryLog(Section, frozen=True):
    """A line about each question that was answered."""

    to: Annotated[
        Literal["stdout", "journald"] | File | None,
        Meta(description="Where the lines go: stdout, journald or a file, reopened once renamed; null: nowhere."),
    ] = None
    sample: Annotated[Sample, Meta(description="One question of so many is written, drawn at random; 1 is all.")] = 1


class Dnstap(Section, frozen=True):
    """Questions and answers as dnstap messages."""

    to: Annotated[
        Tap | None,
        Meta(description="Where the messages go: a reader's Unix socket, as unix:/PATH, or a file; null: nowhere."),
    ] = None
    sample: Annotated[Sample, Meta(description="One question of so many is written, drawn at random; 1 is all.")] = 1
    identity: Annotated[
        Text | None, Meta(description="What this server is called in the messages; null is the name of the host.")
    ] = None


class Log(Section, frozen=True):
    """What is written about the program and its questions."""

    format: Annotated[
        Format, Meta(description="The form of log lines and of the query log: for people, or one JSON object a line.")
    ] = "console"
    level: Annotated[Level, Meta(description="The least level of log lines.")] = "info"
    queries: Annotated[QueryLog, Meta(description="The query log.")] = QueryLog()
    dnstap: Annotated[Dnstap, Meta(description="The dnstap stream.")] = Dnstap()
