"""The architecture as a test: which room may import which, and through which door each heavy dependency enters.

A room is a folder of ``dwn_hw``, or one of the few files beside them. A new room takes its place in :data:`ORDER`, to
the right of everything that it imports; a new file in a room needs no line here.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import shutil
import sys
from pathlib import Path

import pytest

import dwn_hw

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dwn_hw"

#: A room may import only from those to its left and from itself, also inside functions.
ORDER = [
    *("errors", "_assets", "_json", "_version", "_progress", "toolchain"),
    *("nn", "ir", "frontend", "hardware", "rtl", "exports", "fpga", "verification"),
    *("api", "studies", "cli", "__main__"),
]

#: Each heavy dependency enters through few doors: modules, or rooms with all that is in them.
DOORS = {
    "torch": {
        "nn",
        "frontend.checkpoints",
        "frontend.training_run",
        "frontend.torch_reference",
        "frontend.emulate_triton",
        "frontend.integer_networks",
    },
    "amaranth": {"rtl", "fpga.boards"},
    "amaranth_boards": {"fpga.boards.platforms"},
    "subprocess": {"toolchain"},
    "cocotb": set(),  # only sim/ imports it, in the simulator's process
    "cocotb_tools": {"verification.simulate"},
    "sklearn": {"nn.digits"},
    "pyarrow": {"frontend.table_files", "exports.prediction_file"},
    "vl_convert": {"exports.page.drawing"},
    "jinja2": {"exports.page.page_files"},
    "markupsafe": {"exports.page.page_files"},
    "numba": set(),  # only kernels/ imports it
    "triton": set(),  # the same
    "safetensors": {"ir.serialize", "frontend.read_safetensors"},
    "click": {"cli"},
    "rich": {"cli", "_progress.terminal"},
    "serial": {"fpga.serial_host"},
    "optuna": {"studies.journal"},
    "distributed": {"studies.dask_cluster"},
    "pickle": set(),
}

#: Beside the doors: what any module may import besides the standard library's own.
EVERYWHERE = {"numpy", "dwn_hw"}

#: The public names of ``__init__`` are resolved when they are used, so it may import what is above it.
LAZY = "__init__"

MAX_FUNCTION, MAX_FILE, MAX_ROOMS = 60, 400, 19


def modules(package: Path) -> dict[str, Path]:
    """Every module by its dotted name below the package; the package itself is ``__init__``."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if "_shared" not in parts:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts) or LAZY] = path
    return found


def faults(package: Path) -> list[str]:
    """Every sentence that can be said against the package."""
    known = modules(package)
    found: list[str] = []
    graph: dict[str, set[str]] = {}
    for me, path in known.items():
        where = path.relative_to(package.parent).as_posix()
        text = path.read_text()
        tree = _parsed(text)
        room = me.split(".")[0]
        if room not in (*ORDER, LAZY):
            found.append(f"{where}: add {room} to ORDER in tests/test_architecture.py, right of all that it imports")
            continue
        graph[me] = {name for module in _imported(tree) if (name := _module(module, known))} - {me}
        found += [f"{where}: {fault}" for fault in [*_doors(tree, me), *_order(graph[me], room), *_shape(tree, text)]]
    return found + _circles({me: others - {LAZY} for me, others in graph.items() if me != LAZY})


@functools.cache  # every planted fault changes one file of two hundred: the others are read once
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _doors(tree: ast.Module, me: str) -> list[str]:
    found = []
    for module in _imported(tree):
        top = module.split(".")[0]
        if top in DOORS and not any(f"{me}.".startswith(f"{door}.") for door in DOORS[top]):
            found.append(f"{top} may enter only through {sorted(DOORS[top]) or 'no module'}, not {me}")
    return found


def _order(others: set[str], room: str) -> list[str]:
    found = []
    for other in sorted({name.split(".")[0] for name in others} - {room}):
        if room == LAZY:
            continue
        if other == LAZY:
            found.append(f"{room} must not import the package itself: its names come from above")
        elif other not in ORDER or ORDER.index(other) > ORDER.index(room):
            found.append(f"{room} must not import {other}, which is to its right in the order")
    return found


def _circles(graph: dict[str, set[str]]) -> list[str]:
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [f"modules import each other in a circle: {' -> '.join(error.args[1])}"]
    return []


def _module(full: str, known: dict[str, Path]) -> str | None:
    """The module of this package that an imported name is or lies in."""
    top, *rest = full.split(".")
    if top != "dwn_hw":
        return None
    while rest and ".".join(rest) not in known:
        rest.pop()
    return ".".join(rest) or LAZY


@functools.cache
def _imported(tree: ast.Module) -> list[str]:
    """Full names of all that is imported anywhere in a file; ``from a import b`` is ``a.b``."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += ["." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            names += [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return names


@functools.cache
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


def _rooms() -> set[str]:
    """Folders and files at the top of the package."""
    names = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    return names - {"__pycache__", "_shared"}


def test_the_package_keeps_its_order_its_doors_and_its_measure():
    assert faults(PACKAGE) == []


def test_the_order_is_of_all_rooms_and_each_is_there():
    assert len(ORDER) == len(set(ORDER))
    assert set(ORDER) | {LAZY} == _rooms()


def test_the_top_of_the_package_can_be_read_at_a_glance():
    assert len(_rooms()) <= MAX_ROOMS


def test_every_door_is_a_module():
    assert {door for doors in DOORS.values() for door in doors} <= set(modules(PACKAGE))


def test_no_room_bears_the_name_of_a_public_function():
    """Once imported, a sub-module of that name would stand in the place of the function: ``dwn_hw.verify``."""
    assert sorted(_rooms() & set(dwn_hw.__all__)) == []


def test_file_names_tell_files_apart():
    """A file name stands once, but for a command's file, which is called as the command is, and what every room may have."""
    names = [me.split(".")[-1] for me in modules(PACKAGE) if not me.startswith("cli.")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_tests_stand_in_folders_of_the_same_names():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= _rooms()
    assert {name for name in _rooms() if (PACKAGE / name).is_dir()} <= folders


def test_other_packages_enter_through_a_door():
    """Whatever is neither the standard library's nor allowed everywhere has an entry in DOORS."""
    used = set()
    for path in modules(PACKAGE).values():
        used |= {name.split(".")[0] for name in _imported(_parsed(path.read_text())) if not name.startswith(".")}
    assert sorted(used - set(sys.stdlib_module_names) - EVERYWHERE - set(DOORS)) == []


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(PACKAGE, tmp_path / "dwn_hw", ignore=shutil.ignore_patterns("__pycache__", "_shared")))


@pytest.mark.parametrize(
    ("module", "line", "sentence"),
    [
        ("ir/edges", "from dwn_hw import cli", "dwn_hw/ir/edges.py: ir must not import cli, which is to its right in"),
        ("ir/edges", "import dwn_hw.rtl.core", "dwn_hw/ir/edges.py: ir must not import rtl, which is to its right in"),
        (
            "ir/edges",
            "def f():\n    from dwn_hw.hardware.cost import K\n",
            "dwn_hw/ir/edges.py: ir must not import hardware, which is to its",
        ),
        ("ir/edges", "from dwn_hw import __version__", "dwn_hw/ir/edges.py: ir must not import the package itself"),
        (
            "ir/edges",
            "def f():\n    from dwn_hw.ir import network\n",
            "modules import each other in a circle: ir.edges",
        ),
        ("ir/evaluate", "import torch", "dwn_hw/ir/evaluate.py: torch may enter only through ['frontend.checkpoints',"),
        (
            "frontend/extract",
            "from torch import nn",
            "dwn_hw/frontend/extract.py: torch may enter only through ['frontend.checkpoints', ",
        ),
        (
            "hardware/cost",
            "from amaranth.hdl import Cat",
            "dwn_hw/hardware/cost.py: amaranth may enter only through ['fpga.boards', 'rtl'], not hardware.cost",
        ),
        (
            "fpga/building",
            "import subprocess",
            "dwn_hw/fpga/building.py: subprocess may enter only through ['toolchain'], not fpga.building",
        ),
        ("ir/edges", "import pickle", "dwn_hw/ir/edges.py: pickle may enter only through no module, not ir.edges"),
        (
            "ir/edges",
            "import_module('torch.nn')",
            "dwn_hw/ir/edges.py: torch may enter only through ['frontend.checkpoints',",
        ),
        ("rtl/parts", "import cocotb_tools.runner", "dwn_hw/rtl/parts.py: cocotb_tools may enter only through ['veri"),
        ("rtl/parts", "from dwn_hw.exports import writer", "dwn_hw/rtl/parts.py: rtl must not import exports, which"),
        ("rtl/parts", "from dwn_hw import export", "dwn_hw/rtl/parts.py: rtl must not import the package itself"),
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
    # An import upwards often closes a circle too.
    assert len(new) == 1 or new[1:] == [fault for fault in new if "in a circle" in fault]
    assert new[0].startswith(sentence.replace("{next}", f"{lines + 1}").replace("{after}", f"{lines + 401}"))


def test_a_room_that_is_not_listed_is_told_where_to_go(copy):
    (copy / "newcomer.py").write_text('"""New."""\n')
    sentence = "add newcomer to ORDER in tests/test_architecture.py, right of all that it imports"
    assert f"dwn_hw/newcomer.py: {sentence}" in faults(copy)


def test_a_module_without_a_docstring_is_named(copy):
    (copy / "errors.py").write_text("import math\n")
    assert "dwn_hw/errors.py: no docstring: a module begins with what it is for" in faults(copy)
