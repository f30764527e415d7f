"""The public API: what its names are, and that neither it nor a frozen network needs torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dwn_hw

ROOT = Path(__file__).resolve().parent.parent

HEAVY = ("torch", "amaranth", "cocotb", "cocotb_tools", "sklearn", "numpy", "safetensors")


def python(script, *arguments, cwd):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_is_sorted_complete_and_importable():
    assert dwn_hw.__all__ == sorted(dwn_hw.__all__)
    assert dwn_hw.__all__ == sorted(dwn_hw._HOME)
    for name in dwn_hw.__all__:
        assert getattr(dwn_hw, name).__doc__, name
    with pytest.raises(AttributeError, match="module 'dwn_hw' has no attribute 'frob'"):
        dwn_hw.frob  # noqa: B018  # asking is what fails


def test_every_public_function_of_the_api_is_exported():
    from dwn_hw import api

    functions = {name for name, value in vars(api).items() if callable(value) and not name.startswith("_")}
    assert functions - {"TypeAlias", "Any", "Path", "TrainedDwn"} == {
        name for name, home in dwn_hw._HOME.items() if home == "api"
    }


def test_star_import_gives_exactly_all(tmp_path):
    script = "before = set(dir()); from dwn_hw import *; print(sorted(set(dir()) - before - {'before'}))"
    assert python(script, cwd=tmp_path).strip() == str(dwn_hw.__all__)


def test_every_error_is_caught_by_the_base_class():
    for name in ("InputError", "Mismatch", "ToolError"):
        assert issubclass(getattr(dwn_hw, name), dwn_hw.DwnHwError)


def test_importing_the_package_and_its_command_line_brings_nothing_heavy(tmp_path):
    script = f"import sys, dwn_hw, dwn_hw.cli.main; print([m for m in {HEAVY} if m in sys.modules])"
    assert python(script, cwd=tmp_path).strip() == "[]"


def test_help_of_every_command_brings_nothing_heavy_and_nothing_that_draws(tmp_path):
    script = f"""
import contextlib, io, sys
from dwn_hw.cli import main
for name in ([], *([name] for name in main.main.commands)):
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main.main([*name, "--help"])
    assert said.getvalue().startswith("Usage: "), name
print([m for m in {(*HEAVY, "rich")} if m in sys.modules])
"""
    assert python(script, cwd=tmp_path).strip() == "[]"


@pytest.fixture
def model(tmp_path):
    """``model.pt`` and ``x.npz``, written with torch."""
    torch = pytest.importorskip("torch")
    from dwn_hw.nn import GroupSum, LUTLayer, Thermometer

    torch.manual_seed(0)
    x = torch.randn(40, 4)
    layers = torch.nn.Sequential(LUTLayer(8, 10, n=3, mapping="learnable"), GroupSum(2))
    dwn_hw.save(layers, tmp_path / "model.pt", thermometer=Thermometer(2).fit(x))
    np.savez(tmp_path / "x.npz", x=x.numpy())
    return tmp_path


def test_a_checkpoint_is_exported_and_predicted_where_torch_cannot_be_imported(model):
    script = """
import sys, json
sys.modules["torch"] = None
import numpy as np, dwn_hw
report = dwn_hw.export(dwn_hw.load("model.pt"), "without")
x = np.load("x.npz")["x"]
classes, scores = dwn_hw.predict("without", x)
print(json.dumps([report["checked"], classes.tolist(), scores.tolist()]))
"""
    script = script.replace('np.load("x.npz")["x"]', 'dwn_hw.ir.sample_files.load(dwn_hw.api.Path("x.npz")).x')
    script = script.replace("import numpy as np, dwn_hw", "import dwn_hw, dwn_hw.api")
    checked, classes, scores = json.loads(python(script, cwd=model))
    assert checked["reference"] == "torch not installed"
    report = dwn_hw.export(dwn_hw.load(model / "model.pt"), model / "with")
    assert report["checked"]["reference"] == "torch"
    assert report["checked"]["group_sums"] == 2048 * 2
    with np.load(model / "x.npz") as file:
        got = dwn_hw.predict(model / "with", file["x"])
    assert [values.tolist() for values in got] == [classes, scores]
    for path in (model / "with").rglob("*"):
        if path.is_file() and path.relative_to(model / "with").as_posix() not in ("report.json", "SHA256SUMS"):
            assert path.read_bytes() == (model / "without" / path.relative_to(model / "with")).read_bytes(), path


def test_predict_verify_and_synth_of_an_export_never_import_torch(model):
    dwn_hw.export(dwn_hw.load(model / "model.pt"), model / "out")
    script = """
import sys
import dwn_hw.exports.prediction, dwn_hw.verification.compare_rtl, dwn_hw.fpga.synthesis
import dwn_hw.exports.writer, dwn_hw.cli.demo, dwn_hw.api
from dwn_hw.cli import main
try:
    main.main(["predict", "out", "x.npz", "--quiet"])
except SystemExit as end:
    assert not end.code
print("torch" in sys.modules)
"""
    assert python(script, cwd=model).strip() == "False"


def test_freeze_takes_a_live_model_and_gives_the_network(model):
    torch = pytest.importorskip("torch")
    from dwn_hw.nn import GroupSum, LUTLayer, Thermometer

    torch.manual_seed(0)
    x = torch.randn(40, 4)
    layers = torch.nn.Sequential(LUTLayer(8, 10, n=3, mapping="learnable"), GroupSum(2))
    live = dwn_hw.freeze(layers, thermometer=Thermometer(2).fit(x), input_format="s8/16")
    read = dwn_hw.freeze(dwn_hw.load(model / "model.pt"), input_format="s8/16")
    assert (live.input, live.nodes) == (read.input, read.nodes)


def test_the_api_verifies_and_refuses_as_the_commands_do(model):
    dwn_hw.export(dwn_hw.load(model / "model.pt"), model / "out", shell="none", latency=1)
    with np.load(model / "x.npz") as file:
        report = dwn_hw.verify(model / "out", x=file["x"], simulator="icarus", vectors=10)
    assert report["equal"]
    assert report["kinds"]["data"] == 40
    with pytest.raises(dwn_hw.InputError, match="samples of 4 features"):
        dwn_hw.predict(model / "out", np.zeros((3, 5)))
    with pytest.raises(dwn_hw.InputError, match="samples of 4 features"):
        dwn_hw.freeze(dwn_hw.load(model / "model.pt"), x=np.zeros((3, 5)))
