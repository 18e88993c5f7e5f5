"""Problems of a configuration, for people: one line each."""

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One thing that is wrong: `FILE:LINE: KEY: problem; what to do`."""

    where: str
    """`FILE:LINE`, `FILE` or `--FLAG`; empty when it is not known."""
    key: str
    """The path of the setting, `clusters[0].zone`; empty for the file as a whole."""
    text: str
    """The problem and what to do."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.text) if part)


class ConfigError(Struct, frozen=True):
    """A configuration that cannot be used; `str()` has one line for each problem."""

    problems: tuple[Problem, ...]
    """At least one, at most ten."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 2 if a flag is wrong (bad usage), 1 if the file is."""
        return 2 if any(problem.where.startswith("--") for problem in self.problems) else 1
