"""What the Verilog of an export calls its modules, files and C identifiers: all begin with one name, ``dwn`` unless another is
asked for, so that several exports go into one design, or one host program, without meeting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath

from dwn_hw.errors import OptionError, Problem

#: As everything is called until it is renamed.
DEFAULT = "dwn"

#: An identifier in Verilog and C, alone and in front of another.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")
_LONGEST = 32


def problems(name: object) -> list[Problem]:
    """Why ``name`` cannot be one; nothing where it can."""
    if isinstance(name, str) and _NAME.fullmatch(name) and len(name) <= _LONGEST:
        return []
    rule = f"a letter, then letters, digits and single underscores between them, at most {_LONGEST}"
    return [Problem("--name", rule, repr(name), "Choose another, say jets.")]


def check(name: str) -> str:
    """The name, if it can be one. Raises OptionError."""
    if found := problems(name):
        raise OptionError(*found)
    return name


def number_label(value: int) -> str:
    """A number as a part of a name, where no sign may stand: ``117``, and ``m117`` for -117."""
    return f"m{-value}" if value < 0 else f"{value}"


def renamed(files: Mapping[str, str], name: str, beside: Iterable[str] = ()) -> dict[str, str]:
    """Verilog, file name → text, in which ``name`` stands in the place of ``dwn`` wherever a file or its module is meant.

    ``beside``: modules that the texts instantiate, and that are not among them.
    """
    if name == DEFAULT:
        return dict(files)
    modules = {PurePath(file).stem for file in files} | set(beside)
    word = re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, modules)))})\b")

    def say(text: str) -> str:
        return word.sub(lambda match: name + match[0].removeprefix(DEFAULT), text)

    return {say(file): say(text) for file, text in files.items()}


def renamed_c(text: str, name: str) -> str:
    """C, in which ``name`` stands in the place of ``dwn``, and in capitals in that of ``DWN``."""
    return re.sub(r"\bdwn_", f"{name}_", re.sub(r"\bDWN_", f"{name.upper()}_", text))
