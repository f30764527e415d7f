"""The exceptions of dwn-hw, and the shape every message takes.

::

    DwnHwError               exit code 1
    ├── InputError           exit code 2: something that the user gave cannot be used
    │   ├── OptionError      a command-line option or an argument of the Python API
    │   ├── CheckpointError  a trained model
    │   ├── DataError        an .npz of samples
    │   ├── ExportError      an export directory: where one is written, or what one holds
    │   └── IRError          a network that breaks a rule of ``ir``
    ├── ToolError            exit code 1: a child program is missing or failed
    │   └── ToolTimeout      it took longer than it was given
    ├── BoardError           exit code 1: a board does not answer, or is not the one that is meant
    ├── Mismatch             exit code 1: two things that must be equal are not
    ├── Undecided            exit code 1: whether two things are equal was not found out
    └── Unfit                exit code 1: a board cannot take a design: it is too large, or too slow for the clock
        └── TooSlow          it fits, and does not meet the clock

An ``InputError`` carries every problem that could be known at once, each as a :class:`Problem`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: ``THING: RULE; got GOT. REMEDY``."""

    thing: str
    rule: str
    got: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.thing}: {self.rule}; got {self.got}. {self.remedy}"


def in_words(error: Exception) -> str:
    """What keeps a file from being read, or from being what it should be."""
    match error:
        case OSError():
            return error.strerror or str(error)
        case KeyError():
            return f"no {error.args[0]}" if error.args else "an entry too few"
        case UnicodeDecodeError():
            return "bytes that are no text"
        case ValueError() if type(error).__name__ == "JSONDecodeError":
            return f"no JSON ({error})"
        case ValueError():
            return str(error)
        case _:
            return f"something else ({error})"


class DwnHwError(Exception):
    """Base class: catch this to catch everything that dwn-hw raises on purpose."""

    exit_code = 1


class InputError(DwnHwError):
    """Something from outside cannot be used; ``problems`` lists every reason known."""

    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class OptionError(InputError):
    """An option, or an argument of the Python API."""


class CheckpointError(InputError):
    """A trained model that cannot be read, or that the hardware cannot express exactly."""


class DataError(InputError):
    """A file of samples."""


class ExportError(InputError):
    """An export directory that cannot be written, or is not what it says."""


class IRError(InputError):
    """A network that breaks a rule of :mod:`dwn_hw.ir`."""


class ToolError(DwnHwError):
    """A child program is missing, too old, or failed; the message holds the remedy or its output."""


class ToolTimeout(ToolError):
    """A child program that was stopped because it took too long."""


class BoardError(DwnHwError):
    """A board that does not answer as it should; ``problem`` says how, and what to do."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


class Mismatch(DwnHwError):
    """Two stages that must be equal differ; the message says where first and how to see it again. ``details``: plain values."""

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        self.details = details or {}
        super().__init__(message)


class Undecided(DwnHwError):
    """Whether two stages are equal was not found out in time; the message names what is open."""


class Unfit(DwnHwError):
    """A design that a board cannot take: too large, or too slow for its clock; the message says by how much, and what to try."""


class TooSlow(Unfit):
    """A design that has a place on a board, and meets ``mhz`` there, which is less than its clock."""

    def __init__(self, message: str, mhz: float) -> None:
        self.mhz = mhz
        super().__init__(message)
