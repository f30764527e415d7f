"""Which files of an export are its Verilog, and what they may ask of the tools that read them.

An export can come from a stranger, and its Verilog and its checksums be anything. A tool is given only files that the
checksums name, under names as an export writes them; and Verilog that could reach outside the simulation (system tasks,
included files, foreign code) is refused before any tool reads it. Checksums say what was edited, and nothing about who wrote it.
"""

from __future__ import annotations

import re
from pathlib import Path

from dwn_hw.errors import ExportError, Problem
from dwn_hw.exports import verilog_checksums

_AGAIN = "Export the model again."
_TRUST = "Export the model again; or, where you wrote this yourself, `dwn-hw verify --trust-edited`."

#: What Verilog of ours asks of a tool: values of other types, and a logarithm; and of a memory of the export, its content.
_ALLOWED = {"$signed", "$unsigned", "$clog2", "`default_nettype"}

#: Words that bring code or files from elsewhere into a design, or reach into another's.
_FOREIGN = (
    "import",
    "export",
    "bind",
    "include",
    "library",
    "config",
    "force",
    "release",
    "program",
    "class",
    "checker",
)

#: In order: what is passed over, and what is looked at: comments, text, names that are escaped, system names, directives, words.
_TOKENS = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)|\"(?:[^\"\\\n]|\\.)*\"?|\\\S+|[$`]\w*|\b(?:" + "|".join(_FOREIGN) + r")\b", re.DOTALL
)

#: Comments to which Verilator listens; those that turn a warning off or on change nothing else.
_ORDER = re.compile(r"/[/*]\s*verilator\b(?!\s+lint_(?:off|on)\s+\w+\s*\Z)")

_MEMORY = re.compile(r"\$readmemh\s*\(\s*\"([^\"]*)\"")


def listed(rtl: Path, name: str) -> tuple[Path, ...]:
    """The files of an export's folder ``rtl``, by its checksums, in order of their names. ``name``: what all are called after.

    Raises ExportError for a name that no export writes, for a file that is not named there, and for one that is not there.
    """
    wanted = verilog_checksums.read(rtl)
    shape = re.compile(rf"{re.escape(name)}_[A-Za-z0-9_]+\.(v|hex)", re.ASCII)
    found = {path.name for path in rtl.iterdir()} - {verilog_checksums.SUMS}
    problems = []
    for file in sorted(wanted.keys() | found):
        thing = str(rtl / "".join(c if c.isprintable() else "?" for c in file))
        if file not in wanted and Path(file).suffix in (".v", ".hex"):
            problems.append(Problem(thing, "a file that the checksums name", "another file", "Move it elsewhere."))
        elif file in wanted and not shape.fullmatch(file):
            rule = f"a name as an export writes it ({name}_….v)"
            problems.append(Problem(thing, rule, "another name in the checksums", _AGAIN))
        elif file in wanted and not (rtl / file).is_file():
            problems.append(Problem(thing, "the Verilog as it was exported", "nothing there", _AGAIN))
        elif file in wanted and (rtl / file).is_symlink():
            problems.append(Problem(thing, "the Verilog as it was exported", "a link to another file", _AGAIN))
    if problems:
        raise ExportError(*problems)
    return tuple(rtl / file for file in sorted(wanted))


def check_harmless(paths: tuple[Path, ...]) -> None:
    """Raise ExportError for Verilog among ``paths`` that asks of a tool what no Verilog of ours asks, with every place."""
    memories = {path.name for path in paths if path.suffix == ".hex"}
    problems = []
    for path in paths:
        if path.suffix != ".v":
            continue
        text = path.read_text("utf-8", errors="replace")
        for line, asked in _asks(text, memories)[:5]:
            rule = "Verilog that reaches nothing outside the design"
            problems.append(Problem(f"{path}, line {line}", rule, asked, _TRUST))
    if problems:
        raise ExportError(*problems)


def _asks(text: str, memories: set[str]) -> list[tuple[int, str]]:
    """The lines at which Verilog asks for more than it may, and what for."""
    found = []
    for match in _TOKENS.finditer(text):
        token = match[0]
        if token.startswith("/"):
            if _ORDER.match(token):
                found.append((match.start(), "a comment to Verilator"))
        elif token == "$readmemh":
            file = _MEMORY.match(text, match.start())
            if file is None or file[1] not in memories:
                found.append((match.start(), "$readmemh of a file that is no memory of the export"))
        elif token.startswith(("$", "`")):
            if token not in _ALLOWED:
                found.append((match.start(), token if len(token) < 40 else f"{token[:40]}…"))
        elif not token.startswith(('"', "\\")):
            found.append((match.start(), token))
    return [(text.count("\n", 0, at) + 1, asked) for at, asked in found]
