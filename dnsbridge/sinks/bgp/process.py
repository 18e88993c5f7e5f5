"""ExaBGP as a child process: starts it, gives it routes, and records what each peer has been sent.

ExaBGP speaks its API over the standard input and output of a process that it starts itself. (The named pipes of its
command line tool answer commands too, but report neither sessions nor updates sent.) That process is a shell with two
`cat`, which relay to and from two pipes of ours that ExaBGP has inherited. So there is no socket or file that anybody
else could open.

    we --commands--> pipe --cat--> ExaBGP --cat--> pipe --answers, events--> we

When this process dies, in whatever way, the command pipe ends and the shell kills ExaBGP. An ExaBGP that lived on would
announce stale routes for ever. An ExaBGP that ended in good order might withdraw the routes; when its connection just
breaks, peers keep them for the graceful restart time (RFC 4724 section 4.2). (The kernel's PR_SET_PDEATHSIG would not
do: ExaBGP changes its user when root starts it, which clears the signal.)

At most WINDOW commands wait for an answer, a line has at most LINE octets, and the last lines of the log are kept.
"""

import asyncio
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dnsbridge.routes.model import IPAddress, Prefix
from dnsbridge.routes.sink import SinkProblem
from dnsbridge.sinks.bgp.events import Answer, Down, Event, Negotiated, Sent, Up, event
from dnsbridge.sinks.bgp.speaker import Speaker, configuration

log = logging.getLogger(__name__)

START_SECONDS = 60.0
"""Seconds for reading the configuration, with all its routes, and giving the first answer."""
ANSWER_SECONDS = 30.0
WINDOW = 200
LINE = 2**20
_LAST_LINES = 12
RELAY = (
    # The shell must not hold ExaBGP's log open: ExaBGP is known to have ended only once its log ends. A job in the
    # background gets no standard input (POSIX 2.9.3.1), but may have it under another number.
    "exec 2>/dev/null 3<&0; cat <&3 >/proc/$PPID/fd/{events} & cat /proc/$PPID/fd/{commands}; "
    # Kill it only while it is still the shell's parent: once it is gone, its number may belong to another process.
    "read -r pid name state parent rest </proc/$$/stat; test $parent = $PPID && kill -9 $PPID"
)
"""The shell command that ExaBGP starts as its API process. Needs sh, cat and /proc."""
# ExaBGP takes settings from a file and from variables like these; the settings that matter to us are set here.
# When root starts it, it becomes `nobody`, unless exabgp_daemon_user names another user.
_ENVIRONMENT = {
    "exabgp_api_ack": "true",
    "exabgp_api_cli": "false",
    "exabgp_api_encoder": "json",
    "exabgp_bgp_passive": "false",
    "exabgp_daemon_daemonize": "false",
    "exabgp_daemon_drop": "false",
    "exabgp_daemon_pid": "",
    "exabgp_log_destination": "stderr",
    "exabgp_log_enable": "true",
    "exabgp_log_level": "ERROR",
    "exabgp_tcp_attempts": "0",
    "exabgp_tcp_bind": "",
    "exabgp_tcp_delay": "0",
    "exabgp_tcp_once": "false",
}


class PeerState:
    """The known state of a peer's session."""

    def __init__(self) -> None:
        self.up = False
        self.versions: frozenset[int] = frozenset()
        """IP versions that the session carries."""
        self.told: dict[Prefix, IPAddress] = {}
        """The prefixes that it has been sent in this session, with their next hops."""
        self.refused = 0
        """Attempts in a row that were refused with a reason."""
        self.reason = ""
        """The last reason for a refusal; empty when there was just no connection."""
        self.silent = False
        """Whether it has been silent for so long that nothing waits for it any more."""

    def take(self, event: Negotiated | Up | Down | Sent) -> None:
        """Apply an event to the state."""
        match event:
            case Negotiated():
                self.versions = event.versions
            case Up():
                self.up, self.refused, self.reason, self.silent = True, 0, "", False
                self.told.clear()
            case Down():
                self.up, self.reason = False, event.reason
                self.refused = self.refused + 1 if event.reason else 0
                self.told.clear()
            case Sent():
                for prefix in event.withdrawn:
                    self.told.pop(prefix, None)
                self.told.update(event.announced)


class ExaBgp:
    """One run of ExaBGP."""

    def __init__(self, speaker: Speaker) -> None:
        self.peers = {peer.address: PeerState() for peer in speaker.peers}
        self.ended = asyncio.Event()
        """Set once the process has ended."""
        self._speaker = speaker
        self._process: asyncio.subprocess.Process | None = None
        self._commands: asyncio.WriteTransport | None = None
        self._events: asyncio.ReadTransport | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._answers: deque[asyncio.Future[bool]] = deque()
        self._moved = asyncio.Event()
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)

    @property
    def last_words(self) -> str:
        """The last lines of its log, as one line."""
        return " ".join(self._last_lines) or "it says nothing"

    async def start(self, routes: Mapping[Prefix, IPAddress]) -> None:
        """Start ExaBGP with routes, and wait until it answers. Raises SinkProblem."""
        if importlib.util.find_spec("exabgp") is None:
            raise SinkProblem("bgp: ExaBGP is not installed; pip install 'dnsbridge[bgp]'")
        # Private (0700), because the file holds passwords; removed as soon as ExaBGP has read it.
        folder = Path(tempfile.mkdtemp(prefix="dnsbridge-bgp-"))
        try:
            await self._spawn(folder / "exabgp.conf", routes)
            answered = await self._first_answer()
        except OSError as error:
            await self.kill()
            raise SinkProblem(f"bgp: ExaBGP cannot be started: {error}") from None
        except BaseException:
            await self.kill()
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if not answered:
            await self.kill()
            raise SinkProblem(f"bgp: ExaBGP does not start: {self.last_words}")

    async def tell(self, commands: Sequence[str]) -> list[bool]:
        """Give commands in order. Returns for each whether ExaBGP took it; an ExaBGP that has ended takes none."""
        answers: list[bool] = []
        for start in range(0, len(commands), WINDOW):
            answers += await self._tell(commands[start : start + WINDOW])
        return answers

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition of the peers holds, ExaBGP has ended or time is up. Returns whether it holds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition() and not self.ended.is_set():
                    self._moved.clear()
                    await self._moved.wait()
        return condition()

    def heard(self, said: Negotiated | Up | Down | Sent) -> None:
        """Apply an event to its peer's state, and log the start and end of a session."""
        peer = self.peers[said.peer]
        if isinstance(said, Up) and not peer.up:
            log.info("BGP peer %s: session established", said.peer, extra={"event": "bgp_session_up"})
        elif isinstance(said, Down) and peer.up:
            why = said.reason or "the connection has ended"
            log.warning("BGP peer %s: session ended: %s", said.peer, why, extra={"event": "bgp_session_down"})
        peer.take(said)

    async def kill(self) -> None:
        """Kill ExaBGP without a word to the peers: they keep the routes for the graceful restart time. Idempotent."""
        for transport in (self._commands, self._events):
            if transport:
                transport.close()
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._has_ended()

    async def _spawn(self, file: Path, routes: Mapping[Prefix, IPAddress]) -> None:
        commands_in, commands_out = os.pipe()
        events_in, events_out = os.pipe()
        theirs = (commands_in, events_out)
        relay = RELAY.format(commands=commands_in, events=events_out)
        try:
            _write(file, configuration(self._speaker, relay, routes))
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "exabgp",
                "server",
                str(file),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=theirs,
                env={**os.environ, **_ENVIRONMENT},
                start_new_session=True,  # so that Ctrl-C on a terminal reaches only us
                limit=LINE,
            )
            reader = asyncio.StreamReader(limit=LINE)
            loop = asyncio.get_running_loop()
            self._events, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(events_in, "rb", 0)
            )
            self._commands, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(commands_out, "wb", 0))
        finally:
            for fd in theirs:
                os.close(fd)
        self._tasks = [
            asyncio.create_task(self._listen(reader)),
            asyncio.create_task(self._follow_log()),
            asyncio.create_task(self._watch()),
        ]

    async def _first_answer(self) -> bool:
        answer = self._send("version")
        await asyncio.wait([answer], timeout=START_SECONDS)
        return answer.done() and answer.result()

    async def _tell(self, commands: Sequence[str]) -> list[bool]:
        answers = [self._send(command) for command in commands]
        _, late = await asyncio.wait(answers, timeout=ANSWER_SECONDS)
        if late:
            # Answers can no longer be matched to commands, so no later answer could be trusted.
            log.warning("bgp: ExaBGP does not answer, ending it")
            await self.kill()
        return [answer.result() for answer in answers]

    def _send(self, command: str) -> asyncio.Future[bool]:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._commands is None or self.ended.is_set():
            answer.set_result(False)
        else:
            self._answers.append(answer)
            self._commands.write(command.encode() + b"\n")
        return answer

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(ValueError):  # a line over the limit, which ExaBGP never writes
            while line := await reader.readline():
                if said := event(line.decode("utf-8", "replace").strip()):
                    self._take(said)
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def _take(self, said: Event) -> None:
        if isinstance(said, Answer):
            if self._answers:
                answer = self._answers.popleft()
                if not answer.done():
                    answer.set_result(said.well)
        elif said.peer in self.peers:
            self.heard(said)
            self._moved.set()

    async def _follow_log(self) -> None:
        assert self._process
        assert self._process.stderr
        with suppress(ValueError):
            while line := await self._process.stderr.readline():
                text = " ".join(line.decode("utf-8", "replace").split())
                log.debug("exabgp: %s", text)
                if text and not text.startswith("advice "):
                    self._last_lines.append(text)

    async def _watch(self) -> None:
        assert self._process
        await self._process.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(1):  # the reason is at the end of the log
                await self._tasks[1]
        self._has_ended()

    def _has_ended(self) -> None:
        self.ended.set()
        while self._answers:
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_result(False)
        for address, peer in self.peers.items():
            if peer.up:
                self.heard(Down(address, "ExaBGP ended"))
        self._moved.set()


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
