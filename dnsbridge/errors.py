"""Errors that end a program or a command, and what the system says of one, in a few words."""


class CannotStart(Exception):
    """Why a program cannot start, in one line: what, where, and what to do."""


def of_system(error: Exception) -> str:
    """The system's own words for an OSError, in lower case; any other error's text."""
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
