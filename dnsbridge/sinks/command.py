"""Runs a router's own command line tool, with a time limit and a bound on the output that is kept."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from dnsbridge.routes.sink import SinkProblem

OUTPUT = 64 << 20
"""Octets of output that are kept; a configuration of 100,000 routes has a tenth of that."""
_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/frr")
"""Where routers keep their programs; the PATH of a service may lack these folders."""


class Done(Struct, frozen=True):
    """The result of a command."""

    well: bool
    """It ended with exit status 0."""
    output: str
    """Standard output and error together."""

    @property
    def words(self) -> str:
        """The output as one line for people, at most 300 characters."""
        return " ".join(self.output.split())[:300] or "it says nothing"


async def run(sink: str, command: Sequence[str], seconds: float) -> Done:
    """Run a program for a sink. Raises SinkProblem if it is not installed, cannot be run or does not end in time."""
    program = shutil.which(command[0], path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_PATH]))
    if program is None:
        raise SinkProblem(f"{sink}: {command[0]} is not installed on this machine, or not on PATH")
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *command[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise SinkProblem(f"{sink}: {command[0]} cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(seconds):
            output = await _read(process)
            status = await process.wait()
    except TimeoutError:
        raise SinkProblem(f"{sink}: {command[0]} does not answer within {seconds:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return Done(status == 0, output.decode("utf-8", "replace"))


async def _read(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout
    octets = bytearray()
    while part := await process.stdout.read(1 << 16):
        if len(octets) < OUTPUT:
            octets += part
    return bytes(octets)
