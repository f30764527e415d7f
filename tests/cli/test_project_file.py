"""The project file: commands take from it what they are not told, and everything that is wrong in it is said at once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import dwn_hw
from dwn_hw.cli import main, project_file

torch = pytest.importorskip("torch")


def run(*words, status=0):
    result = CliRunner().invoke(main.main, words)
    assert result.exit_code == status, result.stderr
    return result


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a model and samples, in which commands run."""
    from dwn_hw.nn import DistributiveThermometer, GroupSum, LUTLayer

    torch.manual_seed(0)
    x = torch.randint(0, 16, (30, 4))
    thermometer = DistributiveThermometer(2).fit(x.float())
    model = torch.nn.Sequential(LUTLayer(8, 8, n=2), GroupSum(4))
    dwn_hw.save(model.eval(), tmp_path / "model.pt", thermometer=thermometer)
    np.savez(tmp_path / "x.npz", x=x.numpy())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(home, text, name=project_file.NAME):
    (home / name).write_text(text)


def test_a_whole_road_needs_no_arguments(home):
    write(home, 'model = "model.pt"\ndirectory = "out"\ndata = "x.npz"\nboard = "icebreaker"\n[export]\nlatency = 0\n')
    said = run("export")
    assert "project    MODEL model.pt, --data x.npz, --latency 0, --board icebreaker, --out out" in said.stderr
    assert said.stderr.splitlines()[-1] == "then: dwn-hw build out --board icebreaker"
    interface = json.loads((home / "out" / "interface.json").read_text())
    assert (interface["target"], interface["latency"]) == ("ice40", 0)
    assert "30" in run("predict").stderr
    assert json.loads(run("check", "--json").stdout)["data"]["samples"] == 30


def test_the_command_line_wins(home):
    write(home, 'model = "absent.pt"\n[check]\ntarget = "ice40"\nclock-mhz = 30\n')
    report = json.loads(run("check", "model.pt", "--target", "xc7", "--clock-mhz", "50", "--json").stdout)
    assert (report["target"], report["clock_mhz"]["asked"]) == ("xc7", 50)


def test_paths_are_from_the_folder_of_the_file(home, tmp_path_factory, monkeypatch):
    write(home, 'model = "model.pt"\ndata = "x.npz"\n', "other.toml")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert json.loads(run("--project", str(home / "other.toml"), "check", "--json").stdout)["data"]["samples"] == 30


def test_what_was_asked_by_the_file_stands_in_the_export_as_a_command(home):
    write(home, 'model = "model.pt"\ndirectory = "out"\n[export]\nscores = true\nignore = ["a", "b"]\n')
    report = json.loads(run("export", "--json").stdout)
    assert report["command"] == ["dwn-hw", "export", "model.pt", "--ignore", "a", "--ignore", "b", "--scores"]


def test_everything_that_is_wrong_is_said_at_once_with_the_nearest_names(home):
    write(
        home,
        'modle = "x"\ndata = 3\n[export]\narch = "evil.py:X"\nclock-mhz = "fast"\ntarget = "ise40"\nscore = true\n'
        "strict = 1\n[verify]\ntrust-edited = true\n[exprot]\na = 1\n[train]\nluts = [100, 50]\nresume = true\n",
    )
    said = run("doctor", "--json", status=2)
    problems = json.loads(said.stdout)["error"]["problems"]
    found = {problem["thing"].removeprefix("dwn-hw.toml: "): problem for problem in problems}
    assert list(found) == [
        *("modle", "data", "[export] arch", "[export] clock-mhz", "[export] target", "[export] score"),
        *("[export] strict", "[verify] trust-edited", "[exprot] a", "[train] resume"),
    ]
    assert found["modle"]["remedy"] == "Did you mean model?"
    assert found["[export] score"]["remedy"] == "Did you mean scores?"
    assert found["[exprot] a"]["remedy"] == "Did you mean export?"
    assert found["[export] arch"]["rule"] == "not in a file: it runs a file"
    assert len(said.stderr.splitlines()) == len(problems)


@pytest.mark.parametrize("text", ["model = ", "\udcff", 'a = "1"\na = "2"'])
def test_what_is_not_toml_is_refused_in_a_sentence(home, text):
    (home / project_file.NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert run("doctor", status=2).stderr.startswith("error: dwn-hw.toml: a file in TOML; got ")


def test_a_file_that_is_asked_for_must_be_there(home):
    assert (
        "absent.toml: a file in TOML; got No such file or directory. Check the path."
        in run("--project", "absent.toml", "doctor", status=2).stderr
    )


def test_every_shared_name_stands_for_parameters_that_there_are():
    for places in project_file.SHARED.values():
        for command, name in places.items():
            assert name in {parameter.name for parameter in main.main.commands[command].params}
    every = {parameter.name for command in main.main.commands.values() for parameter in command.params}
    assert set(project_file.TYPED) <= every
