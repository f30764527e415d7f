"""docs/adding.md, followed to the letter in a copy of the project: each toy works; and each place that is forgotten is named.

The page holds its changes as code blocks behind a comment that says the file and the place. All sections together must pass mypy
and their tests; so must each alone, and without any one of its files one of the two must fail (in the group ``sweeps``, since
each is a run of mypy).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "adding.md").read_text()

#: What is run on a section's toy beside mypy: files of tests, and which of their tests.
CHECKS = {
    "A node": (["tests/test_nodes.py"], "test_nodes"),
    "A family of FPGAs": (["tests/hardware/test_families.py", "tests/rtl/test_rtl.py"], "families or twin"),
    "A board": (["tests/fpga/test_boards.py"], "twin"),
    "A shell": (["tests/hardware/test_shell_facts.py"], "test_shell_facts"),
    "A command": (["tests/test_readme.py", "tests/cli/test_cli.py"], "in_the_table or short_help or hello"),
}


@dataclass(frozen=True)
class Edit:
    """One change of the page: ``before``, ``after`` or ``replace`` a text of a file, or ``create`` it."""

    file: str
    how: str
    anchor: str
    text: str

    def apply(self, root: Path) -> None:
        path = root / self.file
        if self.how == "create":
            assert not path.exists(), self.file
            path.write_text(self.text)
            return
        old = path.read_text()
        assert old.count(self.anchor) == 1, f"{self.file}: {self.anchor!r} stands there {old.count(self.anchor)} times"
        new = {"before": self.text + self.anchor, "after": self.anchor + self.text, "replace": self.text.rstrip("\n")}
        path.write_text(old.replace(self.anchor, new[self.how]))


def sections():
    """The changes of each section, in order."""
    found = {}
    for part in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        name = part.splitlines()[0]
        pattern = r'^ *<!-- edit (\S+) (before|after|replace|create)(?: "(.*?)")? -->\n( *)```\w+\n(.*?)^ *```$'
        edits = []
        for file, how, anchor, indent, text in re.findall(pattern, part, re.M | re.S):
            plain = "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
            where = anchor.replace(f"\n{indent}", "\n")  # its first line begins behind the quotation mark
            edits.append(Edit(file, how, where, plain))
        found[name] = edits
    return found


SECTIONS = sections()


@pytest.fixture
def copy(tmp_path):
    """The project as git knows it, and what it does not know yet, in a folder of its own."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in names:
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(root, *words):
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=root, env=env, capture_output=True, text=True, timeout=600, check=False
    )


def complaints(root, *names):
    """What mypy and the sections' tests say against the project; nothing where all is well."""
    cache = os.environ.get("MYPY_CACHE_DIR", str(ROOT / ".mypy_cache"))
    shutil.copytree(cache, root / ".mypy_cache", dirs_exist_ok=True) if Path(cache).is_dir() else None
    types = run(root, "mypy")
    if types.returncode:
        return "mypy: " + "; ".join(line for line in types.stdout.splitlines() if "error:" in line)
    files = [file for name in names for file in CHECKS[name][0]]
    chosen = " or ".join(CHECKS[name][1] for name in names)
    tests = run(root, "pytest", "-q", "-n0", "-p", "no:cacheprovider", *files, "-k", chosen)
    if tests.returncode:
        named = [line for line in tests.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return "tests: " + ("; ".join(named) or tests.stdout + tests.stderr)
    return ""


def test_every_section_with_changes_has_its_checks():
    assert {name for name, edits in SECTIONS.items() if edits} == set(CHECKS)


def test_every_edit_of_the_page_finds_its_place(copy):
    for name in CHECKS:
        for edit in SECTIONS[name]:
            edit.apply(copy)


@pytest.mark.sweeps
def test_all_toys_together_made_by_the_page_alone_work(copy):
    for name in CHECKS:
        for edit in SECTIONS[name]:
            edit.apply(copy)
    assert complaints(copy, *CHECKS) == ""


@pytest.mark.sweeps
@pytest.mark.parametrize("name", CHECKS)
def test_a_toy_made_by_the_page_alone_works(copy, name):
    for edit in SECTIONS[name]:
        edit.apply(copy)
    assert complaints(copy, name) == ""


#: What has one place only cannot be half added.
PLACES = [(name, index) for name in CHECKS if len(SECTIONS[name]) > 1 for index in range(len(SECTIONS[name]))]


@pytest.mark.sweeps
@pytest.mark.parametrize(("name", "index"), PLACES, ids=[f"{n}-{i}-{SECTIONS[n][i].file}" for n, i in PLACES])
def test_a_forgotten_place_is_named_by_mypy_or_by_a_test(copy, name, index):
    for edit in [*SECTIONS[name][:index], *SECTIONS[name][index + 1 :]]:
        edit.apply(copy)
    said = complaints(copy, name)
    assert "mypy: " in said or "FAILED" in said or "ERROR" in said, (
        f"nothing says that {SECTIONS[name][index]} was forgotten"
    )
    print(textwrap.shorten(said, 300))
