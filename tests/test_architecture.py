"""The architecture as a test: which module may import which, and through which door each heavy dependency enters.

A new module of ``dwn_hw`` takes its place in :data:`ORDER` here: to the right of everything that it imports.
"""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dwn_hw"

#: A module, or a folder of modules, may import only from those to its left, and a folder from itself.
_ORDER = """
    __init__ errors documents _assets edges arithmetic adders
    naming ir trained serialize evaluate emulate_sums emulate contract freezing vectors data
    levels mapped words families cuts passes streaming lowering pipeline design folded cost widths trial support
    calibration frames chost shells interface wire toolchain rtl
    standins unpickle archive duck forms input_stage lut_stage extract checkpoints
    nn training digits reference
    prediction scaling shift planning sums exporter simulate ports recording verifier proof synthesis host virtual running
    boards fitting routing building programming netlists doctor demo api screen telling cli_board cli_build cli_verify
    cli __main__
"""
ORDER = _ORDER.split()

#: Each heavy dependency enters through one door.
DOORS = {
    "torch": {"nn", "training", "digits", "checkpoints", "reference", "shift"},
    "amaranth": {"rtl", "boards"},
    "amaranth_boards": {"boards"},
    "subprocess": {"toolchain"},
    "cocotb": set(),  # only sim/ imports it, in the simulator's process
    "cocotb_tools": {"simulate"},
    "sklearn": {"digits"},
    "safetensors": {"serialize"},
    "click": {"cli", "cli_board", "cli_build", "cli_verify", "screen"},
    "rich": {"cli", "cli_build", "screen", "telling"},
    "serial": {"host"},
    "pickle": set(),
}

#: Beside the doors: what any module may import besides the standard library's own.
EVERYWHERE = {"numpy", "dwn_hw"}

#: ``__init__`` names the public API in terms of everything; it resolves the names when they are used.
LAZY = {"__init__"}

MAX_FUNCTION, MAX_FILE = 60, 400


def faults(package: Path) -> list[str]:
    """Every sentence that can be said against the package."""
    found: list[str] = []
    for path in sorted(package.rglob("*.py")):
        if "_shared" in path.parts:
            continue
        me = path.relative_to(package).parts[0].removesuffix(".py")
        where = path.relative_to(package.parent).as_posix()
        text = path.read_text()
        tree = ast.parse(text)
        if me not in ORDER:
            found.append(f"{where}: add {me} to ORDER in tests/test_architecture.py, right of all that it imports")
            continue
        found += [f"{where}: {fault}" for fault in [*_imports(tree, me), *_shape(tree, text)]]
    return found


def _imports(tree: ast.Module, me: str) -> list[str]:
    found = []
    for module in _imported(tree):
        top, *rest = module.split(".")
        if me not in DOORS.get(top, {me}):
            found.append(f"{top} may enter only through {sorted(DOORS[top]) or 'no module'}, not {me}")
        if top != "dwn_hw" or me in LAZY:
            continue
        other = rest[0] if rest else "__init__"
        if other not in ORDER:
            found += [f"{me} imports {other}, which has no place in the order"] if other != "__version__" else []
        elif ORDER.index(other) > ORDER.index(me):
            found.append(f"{me} must not import {other}, which is to its right in the order")
    return found


def _imported(tree: ast.Module) -> list[str]:
    """Full names of all that is imported anywhere in a file; ``from dwn_hw import x`` is ``dwn_hw.x``."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "dwn_hw":
            names += [f"dwn_hw.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." * node.level + (node.module or ""))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            names += [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return names


def _shape(tree: ast.Module, text: str) -> list[str]:
    found = []
    lines = len(text.splitlines())
    if lines > MAX_FILE:
        found.append(f"{lines} lines; at most {MAX_FILE}: cut it along an idea")
    if tree.body and not ast.get_docstring(tree):
        found.append("no docstring: a module begins with what it is for")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > MAX_FUNCTION:
                found.append(f"{node.name} has {length} lines; at most {MAX_FUNCTION}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            found.append(f"line {node.lineno}: the library never prints")
        if isinstance(node, ast.ImportFrom) and node.level:
            found.append(f"line {node.lineno}: import by the full name, from dwn_hw…")
    return found


def test_the_package_keeps_its_order_its_doors_and_its_measure():
    assert faults(PACKAGE) == []


def test_the_order_lists_no_module_twice_and_none_that_is_gone():
    assert len(ORDER) == len(set(ORDER))
    there = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert sorted(set(ORDER) - there) == []


def test_every_door_is_a_module():
    assert {door for doors in DOORS.values() for door in doors} <= set(ORDER)


def test_other_packages_enter_through_a_door():
    """Whatever is neither the standard library's nor allowed everywhere has an entry in DOORS."""
    used = set()
    for path in PACKAGE.rglob("*.py"):
        used |= {name.split(".")[0] for name in _imported(ast.parse(path.read_text())) if not name.startswith(".")}
    assert sorted(used - set(sys.stdlib_module_names) - EVERYWHERE - set(DOORS)) == []


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(PACKAGE, tmp_path / "dwn_hw", ignore=shutil.ignore_patterns("__pycache__", "_shared")))


@pytest.mark.parametrize(
    ("module", "line", "sentence"),
    [
        ("ir", "from dwn_hw import cli", "dwn_hw/ir.py: ir must not import cli, which is to its right in the order"),
        ("ir", "import dwn_hw.rtl.core", "dwn_hw/ir.py: ir must not import rtl, which is to its right in the order"),
        ("ir", "def f():\n    from dwn_hw.cost import K\n", "dwn_hw/ir.py: ir must not import cost, which is to its"),
        (
            "evaluate",
            "import torch",
            "dwn_hw/evaluate.py: torch may enter only through ['checkpoints', 'digits', 'nn',",
        ),
        ("contract", "from torch import nn", "dwn_hw/contract.py: torch may enter only through ['checkpoints', "),
        (
            "cost",
            "from amaranth.hdl import Cat",
            "dwn_hw/cost.py: amaranth may enter only through ['boards', 'rtl'], not cost",
        ),
        ("data", "import subprocess", "dwn_hw/data.py: subprocess may enter only through ['toolchain'], not data"),
        ("data", "import pickle", "dwn_hw/data.py: pickle may enter only through no module, not data"),
        ("data", "import_module('torch.nn')", "dwn_hw/data.py: torch may enter only through ['checkpoints', 'digits',"),
        ("rtl/parts", "import cocotb_tools.runner", "dwn_hw/rtl/parts.py: cocotb_tools may enter only through ['sim"),
        ("rtl/parts", "from dwn_hw import exporter", "dwn_hw/rtl/parts.py: rtl must not import exporter, which is to"),
        (
            "rtl/parts",
            "from dwn_hw import export",
            "dwn_hw/rtl/parts.py: rtl imports export, which has no place in the or",
        ),
        ("errors", "print('x')", "dwn_hw/errors.py: line {next}: the library never prints"),
        ("errors", "from . import ir", "dwn_hw/errors.py: line {next}: import by the full name, from dwn_hw…"),
        ("errors", "def f():\n" + "    pass\n" * 60, "dwn_hw/errors.py: f has 61 lines; at most 60"),
        ("errors", "\n" * 400, "dwn_hw/errors.py: {after} lines; at most 400: cut it along an idea"),
    ],
)
def test_a_planted_fault_is_named(copy, module, line, sentence):
    path = copy / f"{module}.py"
    before = faults(copy)
    lines = len(path.read_text().splitlines())
    path.write_text(path.read_text() + line + "\n")
    new = [fault for fault in faults(copy) if fault not in before]
    assert len(new) == 1
    assert new[0].startswith(sentence.replace("{next}", f"{lines + 1}").replace("{after}", f"{lines + 401}"))


def test_a_module_that_is_not_listed_is_told_where_to_go(copy):
    (copy / "newcomer.py").write_text('"""New."""\n')
    sentence = "add newcomer to ORDER in tests/test_architecture.py, right of all that it imports"
    assert f"dwn_hw/newcomer.py: {sentence}" in faults(copy)


def test_a_module_without_a_docstring_is_named(copy):
    (copy / "errors.py").write_text("import math\n")
    assert "dwn_hw/errors.py: no docstring: a module begins with what it is for" in faults(copy)
