"""Where in an export's Verilog a bit of a part is driven: the file, the line, the name; and what stands before it in that part.

Reads the Verilog that exports consist of (one statement after the other, a wire driven as a whole or by slices), not all of the
language; where a line is edited into something else, no place is named.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dwn_hw.exports.reader import Exported

#: The most names that are given of what stands before a bit.
_CONE = 64

_NAME = r"[A-Za-z_]\w*"
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_DECLARED = re.compile(
    r"\b(?:input|output|wire|reg|inout)\b\s*(?:wire|reg|signed)?\s*(?:\[(\d+):(\d+)\])?\s*([^;()]*)", re.S
)
_OUTPUTS = re.compile(rf"\boutput\b\s*(?:wire|reg)?\s*(?:\[[^\]]*\])?\s*({_NAME})")
_MODULE = re.compile(rf"\bmodule\s+({_NAME})\b(.*?)\bendmodule\b", re.S)
_ASSIGN = re.compile(rf"\bassign\s+({_NAME})(\s*\[[^\]]*\])?\s*=")
_REGISTER = re.compile(rf"(?:^|\)|\belse\b)\s*({_NAME})(\s*\[[^\]]*\])?\s*<=", re.M)
_INSTANCE = re.compile(rf"^\s*({_NAME})\s*(?:#\(|{_NAME}\s*\()")
_PIN = re.compile(rf"\.({_NAME})\s*\(\s*({_NAME})(\s*\[[^\]]*\])?\s*\)")
_READ = re.compile(rf"(?<![\w.'$])({_NAME})")
_SLICE = re.compile(r"\[(\d+)(?::(\d+))?\]")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file (``rtl/dwn_l0.v``), the ``name`` driven there, and ``cone``: (name, line) of what it follows from."""

    file: str
    line: int
    name: str
    cone: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Driver:
    """A statement that drives a name, or bits ``low`` to ``high`` of it; the names that it reads."""

    line: int
    text: str
    low: int
    high: int
    reads: tuple[str, ...]


def find(exported: Exported, part: str, bit: int) -> Place | None:
    """The place that drives bit ``bit`` of what ``part`` gives (``result``: the top module); None where none is found."""
    name = exported.interface.name
    top = exported.interface.top.removeprefix(f"{name}_")
    module = f"{name}_{top if part in ('result', 'y_valid', 'x_ready', 'order') else part}"
    port = part if part in ("y_valid", "x_ready") else "y_payload" if module.endswith(f"_{top}") else "y"
    paths = [path for path in exported.sources if path.suffix == ".v"]
    path = next((path for path in paths if path.name == f"{module}.v"), None)
    if path is None:
        return None
    text = path.read_text("utf-8", errors="replace")
    outputs = frozenset(pin for other in paths for pin in _outputs(other))
    drivers, widths = _drivers(text, outputs), _widths(text)
    found = _driver(drivers, widths, port, bit)
    if found is None:
        return None
    driven, at = found
    return Place(f"{path.parent.name}/{path.name}", at.line, driven, tuple(_cone(drivers, at)))


@functools.lru_cache(maxsize=4)
def _outputs(path: Path) -> tuple[str, ...]:
    return tuple(_OUTPUTS.findall(path.read_text("utf-8", errors="replace")))


def _plain(text: str) -> str:
    """Without comments, each line where it was."""
    return _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _widths(text: str) -> dict[str, int]:
    """The bits of each declared name."""
    found: dict[str, int] = {}
    for match in _DECLARED.finditer(_plain(text)):
        width = abs(int(match[1]) - int(match[2])) + 1 if match[1] else 1
        for name in re.findall(_NAME, match[3]):
            found.setdefault(name, width)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The line at which each statement begins, and the statement."""
    plain, line = _plain(text), 1
    for statement in plain.split(";"):
        begins = line + statement[: len(statement) - len(statement.lstrip())].count("\n")
        line += statement.count("\n")
        yield begins, statement.strip()


def _drivers(text: str, outputs: frozenset[str]) -> dict[str, list[_Driver]]:
    """Of each name the statements that drive it; ``outputs``: pins of modules that give something."""
    found: dict[str, list[_Driver]] = {}
    for line, statement in _statements(text):
        driven: list[tuple[str, str]] = []
        match = _ASSIGN.search(statement) or _REGISTER.search(statement)
        if match:
            driven = [(match[1], match[2] or "")]
            line += statement[: match.start(1)].count("\n")
        elif _INSTANCE.match(statement):
            driven = [
                (name, bits or "") for pin, name, bits in _PIN.findall(statement) if pin in outputs or pin in _CELLS
            ]
        for name, bits in driven:
            low, high = _bounds(bits)
            reads = tuple(read for read in dict.fromkeys(_READ.findall(statement)) if read != name)
            found.setdefault(name, []).append(_Driver(line, statement, low, high, reads))
    return found


#: Outputs of families' cells, whose modules do not lie in an export's ``rtl``.
_CELLS = frozenset(("Y", "O", "O5", "O6", "CO", "Z", "F", "SUM", "COUT", "S0", "S1", "OFX0", "LO"))


def _bounds(bits: str) -> tuple[int, int]:
    """Lowest and highest bit of a slice; of a whole name all there can be."""
    match = _SLICE.search(bits)
    return (int(match[2] or match[1]), int(match[1])) if match else (0, 1 << 30)


def _driver(
    drivers: dict[str, list[_Driver]], widths: dict[str, int], name: str, bit: int
) -> tuple[str, _Driver] | None:
    """The statement that makes a bit of ``name``, through statements that only put names together."""
    for _ in range(_CONE):  # a loop of wires has no end
        at = next((one for one in drivers.get(name, ()) if one.low <= bit <= one.high), None)
        if at is None:
            return None
        inside = _element(at.text.partition("=")[2], bit - at.low, widths) if at.text.startswith("assign") else None
        if inside is None or inside[0] not in drivers:
            return (name if widths.get(name, 1) == 1 else f"{name}[{bit}]"), at
        name, bit = inside
    return None


def _element(expression: str, bit: int, widths: dict[str, int]) -> tuple[str, int] | None:
    """The name and its bit that stand at a bit of a name, or of names in braces; None where something is computed."""
    inner = expression.strip()
    inner = inner[1:-1] if inner.startswith("{") and inner.endswith("}") else inner
    for item in reversed(inner.split(",")):
        word = item.strip()
        constant = re.fullmatch(r"(\d+)'\w+", word)
        match = re.fullmatch(rf"({_NAME})\s*((?:\[[^\]]*\])?)", word)
        if constant is None and match is None:
            return None
        low, high = _bounds(match[2]) if match else (0, 1 << 30)
        width = int(constant[1]) if constant else high - low + 1 if match and match[2] else widths.get(word, 1)
        if bit < width:
            return (match[1], low + bit) if match else None
        bit -= width
    return None


def _cone(drivers: dict[str, list[_Driver]], at: _Driver) -> Iterator[tuple[str, int]]:
    """Names that a statement follows from, nearest first, and where they are driven."""
    seen, waiting = set(at.reads), list(at.reads)
    for _ in range(_CONE):
        while waiting and waiting[0] not in drivers:
            waiting.pop(0)
        if not waiting:
            return
        name = waiting.pop(0)
        for one in drivers[name]:
            yield name, one.line
            waiting += [read for read in one.reads if read not in seen]
            seen.update(one.reads)
