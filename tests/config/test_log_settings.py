"""The settings of logs, query log and dnstap: good ones, and one line for each way to get them wrong."""

from operator import attrgetter
from pathlib import Path

import pytest

from dnsbridge.config import Log, UnixSocket
from dnsbridge.config.log import QueryLog
from tests.config.test_config import loaded, loading

BAD = [
    ("log: {format: xml}", 'd.yaml:1: log.format: got "xml"; write one of console, json'),
    ("log: {level: verbose}", 'd.yaml:1: log.level: got "verbose"; write one of debug, info, warning, error'),
    ("log: {queries: /q}", 'd.yaml:1: log.queries: got "/q"; write settings, of to, sample'),
    ("log: {queries: {to: ''}}", 'd.yaml:1: log.queries.to: got ""; write stdout, or journald, or null, or a path'),
    ("log: {queries: {sample: 0}}",
     'd.yaml:1: log.queries.sample: got "0"; write a whole number from 1 to 1000000'),
    ("log: {dnstap: {to: 'unix:dnstap.sock'}}",
     'd.yaml:1: log.dnstap.to: "unix:dnstap.sock" has no absolute path of at most 107 octets;'
     " write unix:/run/dnstap.sock"),
    ("log: {dnstap: {to: 'unix:/" + "x" * 107 + "'}}",
     'd.yaml:1: log.dnstap.to: "unix:/' + "x" * 54 + '..." has no absolute path of at most 107 octets;'
     " write unix:/run/dnstap.sock"),
    ("log: {dnstap: {to: [/tap]}}", "d.yaml:1: log.dnstap.to: got a list; write null, or unix:/PATH, or a path"),
    ("log:\n  dnstap: {to: /tap}\nworkers: 2\n",
     "d.yaml:2: log.dnstap.to: /tap is one stream, and each of 2 workers has its own; write unix:/PATH, where a reader"
     " such as fstrm_capture joins them"),
    ("log:\n  queries: {to: /tap}\n  dnstap: {to: /tap}\n",
     "d.yaml:3: log.dnstap.to: /tap is taken by log.queries.to; change one of them"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), BAD, ids=range(len(BAD)))
def test_bad(tmp_path: Path, text: str, wanted: str) -> None:
    """One line says where, what, and what to write."""
    assert loading(tmp_path, text) == wanted


GOOD = [
    ("log: {format: json, level: debug}", "log", Log(format="json", level="debug")),
    ("log: {queries: {to: journald, sample: 100}}", "log.queries", QueryLog(to="journald", sample=100)),
    ("log: {queries: {to: /q}}", "log.queries.to", Path("/q")),
    ("log: {dnstap: {to: 'unix:/run/a'}}\nworkers: 2", "log.dnstap.to", UnixSocket(Path("/run/a"))),
    ("log: {dnstap: {to: /tap}}", "log.dnstap.to", Path("/tap")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "wanted"), GOOD, ids=range(len(GOOD)))
def test_good(tmp_path: Path, text: str, path: str, wanted: object) -> None:
    """A good file gives the value that it says."""
    assert attrgetter(path)(loaded(tmp_path, text).settings) == wanted
