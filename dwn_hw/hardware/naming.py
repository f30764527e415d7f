"""Names the modules, files and C identifiers of an export. All begin with one name, ``dwn`` unless another is asked for, so
that several exports go into one design, or one host program, without meeting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath

from dwn_hw.errors import OptionError, Problem

#: The name with which everything begins until it is renamed.
DEFAULT = "dwn"

#: The form of a name: an identifier in Verilog and C, alone and in front of another.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")
_LONGEST = 32


def problems(name: object) -> list[Problem]:
    """The reasons why ``name`` cannot be the name of an export; none where it can."""
    if isinstance(name, str) and _NAME.fullmatch(name) and len(name) <= _LONGEST:
        return []
    rule = f"a letter, then letters, digits and single underscores between them, at most {_LONGEST}"
    return [Problem("--name", rule, repr(name), "Choose another, say jets.")]


def check(name: str) -> str:
    """Return ``name`` if it can be the name of an export. Raises OptionError otherwise."""
    if found := problems(name):
        raise OptionError(*found)
    return name


def number_label(value: int) -> str:
    """The text of a number as a part of a name, where no sign may stand: ``117``, and ``m117`` for -117."""
    return f"m{-value}" if value < 0 else f"{value}"


def renamed(files: Mapping[str, str], name: str, beside: Iterable[str] = ()) -> dict[str, str]:
    """Rename Verilog, file name → text: ``name`` takes the place of ``dwn`` wherever a file or its module is meant.

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
    """Rename C: ``name`` takes the place of ``dwn``, and in capitals that of ``DWN``."""
    return re.sub(r"\bdwn_", f"{name}_", re.sub(r"\bDWN_", f"{name.upper()}_", text))
