"""Every command line in the pages is one that its program takes: ``dwn-hw``, benchmarks and pytest parse it, and stop there."""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
import sys
from pathlib import Path
from unittest import mock

import click
import pytest

from dwn_hw.cli import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += [ROOT / folder / "README.md" for folder in ("benchmarks", "boards", "examples")]
PAGES += sorted((ROOT / "docs").glob("*.md"))

#: Words that stand for something of the reader's own; other words in capitals stand for files and folders.
STANDS_FOR = {
    "N": "3",
    "SECONDS": "60",
    "RATE": "115200",
    "CLOCKS": "4",
    "MHZ": "100",
    "PART": "0.01",
    "KIND": "count",
    "SHAPE": "10",
    "TARGET": "ecp5",
    "BOARD": "icebreaker",
}

#: What only `pip install '.[bench]'` brings: the benchmarks are read here, not run.
RIVALS = ("dwn2rtl", "da4ml", "da4ml.cmvm")


def commands(program):
    """(page, words) of each line that begins with ``program``, in code of a page."""
    found = []
    for page in PAGES:
        text = page.read_text() if page.exists() else ""
        spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
        spans += [line for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
        for span in spans:
            plain = re.sub(r"^([A-Z_]+=\S+ )+", "", span.strip())
            if plain == program or plain.startswith(f"{program} "):
                found.append((page.relative_to(ROOT).as_posix(), words_of(plain)))
    return found


def words_of(line):
    words = shlex.split(re.sub(r"[\[\]…]", " ", line.split(" && ")[0].split(" > ")[0]), comments=True)
    return [STANDS_FOR.get(word, word) for word in words]


def ids(found):
    return [f"{page}: {' '.join(words)}"[:100] for page, words in found]


OURS = commands("dwn-hw")
BENCHMARKS = commands("python")
TESTS = commands("pytest")


def parse(name, words):
    """As :func:`main.main` would parse it; a command keeps the help option of the first parent that it meets."""
    parent = click.Context(main.main, **main.main.context_settings)
    main.main.commands[name].make_context(name, words, parent=parent)


@pytest.mark.parametrize(("page", "words"), OURS, ids=ids(OURS))
def test_dwn_hw_takes_it(page, words):
    _, *words = words
    if not words or words[0].startswith("-"):
        main.main.make_context("dwn-hw", [*words, "doctor"]) if words and words != ["--help"] else None
        return
    name, *words = words
    assert name in main.main.commands, name
    if words:
        parse(name, words)


class Parsed(Exception):
    """The command line was taken."""


@pytest.mark.parametrize(("page", "words"), BENCHMARKS, ids=ids(BENCHMARKS))
def test_a_benchmark_takes_it(page, words, monkeypatch):
    _, script, *words = words
    path = ROOT / script
    assert path.is_file(), script
    for name in RIVALS:
        monkeypatch.setitem(sys.modules, name, mock.MagicMock())
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(sys, "argv", [script, *words])
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser, *args):
        parse(parser, *args)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    with pytest.raises(Parsed):
        runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize(("page", "words"), TESTS, ids=ids(TESTS))
def test_the_tests_that_pytest_is_given_are_there(page, words):
    files = [word.split("::")[0] for word in words[1:] if "/" in word]
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_lines_were_found_at_all():
    assert len(OURS) > 15
    assert len(BENCHMARKS) >= 9
    assert len(TESTS) >= 2


@pytest.mark.parametrize(
    "words", [["export", "m.pt", "-o", "d", "--frobnicate"], ["synth", "d", "--target", "agilex"], ["verify"]]
)
def test_a_line_that_is_wrong_is_found(words):
    with pytest.raises(click.UsageError):
        parse(words[0], words[1:])
