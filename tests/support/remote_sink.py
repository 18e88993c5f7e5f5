"""A sink in a process of its own, in a namespace: what `dnsbridge routes run` is to the routers of a test.

    with RemoteSink(host, BgpSink, SPEAKER) as sink:
        reached = sink.apply(routes)
        sink.kill()           # as `kill -9` does

Calls and values go over standard input and output, pickled.
"""

import asyncio
import os
import pickle
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from dnsbridge.routes.model import Reached, Route
from dnsbridge.routes.sink import Held, Sink, SinkProblem
from tests.support.namespace import Namespace
from tests.support.program import ROOT

ANSWER_SECONDS = 60
"""That a call has, which includes all the sink's own patience."""


class RemoteSink:
    """The process; `with` runs it."""

    def __init__(self, host: Namespace, sink: Callable[..., Sink], *arguments: object) -> None:
        self._host = host
        self._made = (sink, arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RemoteSink":
        self._process = subprocess.Popen(
            [*self._host.prefix, sys.executable, "-m", "tests.support.remote_sink"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._send(self._made)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process
        return self._process.pid

    def held(self) -> Held:
        """What the sink has."""
        return self._call("held")  # type: ignore[no-any-return]  # what came through the pipe

    def apply(self, routes: Sequence[Route]) -> Reached:
        """Give it a whole set."""
        return self._call("apply", routes)  # type: ignore[no-any-return]  # what came through the pipe

    def withdraw(self) -> Reached:
        """Take all back."""
        return self._call("withdraw")  # type: ignore[no-any-return]  # what came through the pipe

    def close(self) -> None:
        """Leave what is there."""
        self._call("close")

    def kill(self) -> None:
        """End it as a crash does. May be repeated."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()

    def _call(self, method: str, *arguments: object) -> Any:
        self._send((method, arguments))
        assert self._process
        assert self._process.stdout
        # Once an answer begins it is whole, so one look at the pipe is enough.
        ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_SECONDS)
        assert ready, f"{method} does not end within {ANSWER_SECONDS} s"
        answer = pickle.load(self._process.stdout)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _send(self, value: object) -> None:
        assert self._process
        assert self._process.stdin
        pickle.dump(value, self._process.stdin)
        self._process.stdin.flush()


async def main() -> None:
    """Serve the calls of standard input until it ends."""
    # Nothing else may write where the answers go.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sink, arguments = pickle.load(sys.stdin.buffer)
    driven = sink(*arguments)
    try:
        while True:
            method, given = await asyncio.to_thread(pickle.load, sys.stdin.buffer)
            try:
                answer = await getattr(driven, method)(*given)
            except SinkProblem as problem:
                answer = problem
            pickle.dump(answer, answers)
            answers.flush()
    except EOFError:
        await driven.close()


if __name__ == "__main__":
    asyncio.run(main())
