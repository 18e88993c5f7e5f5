"""The command line: `main` is the command `dnsbridge`.

Exit codes: 0 well, 1 failed, 2 bad usage. An error is one line on standard error.
"""

import os
import sys

import click

from dnsbridge.cli.commands import dnsbridge
from dnsbridge.errors import of_system


def main() -> None:
    """Run the command line and exit."""
    try:
        sys.exit(dnsbridge.main(prog_name="dnsbridge", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"; see '{context.command_path} --help'" if context and isinstance(error, click.UsageError) else ""
        for line in error.format_message().splitlines():
            click.echo(f"{line.strip().rstrip('.')}{hint}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except OSError as error:
        _drop_output()
        where = error.filename or "standard output"
        said = of_system(error)
        click.echo(f"{where}: {said}; make room there, or write elsewhere", err=True)
        sys.exit(1)
    except Exception as error:
        click.echo(f"internal error: {type(error).__name__}: {error}; please report it with the command", err=True)
        sys.exit(1)


def _drop_output() -> None:
    """Discard what could not be written; else the interpreter would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
