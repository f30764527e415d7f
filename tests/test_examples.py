"""Each example runs on a few made-up samples, and what it leaves is the state_dict of what it says to build."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from groups import swept

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

#: Example, its options, and the checkpoints with the function of each.
RUNS = [
    ("ste_mnist", ["--nets", "levels"], {"ste_mnist_levels": "levels"}),
    ("dab_sorting", ["--nets", "signum"], {"dab_sort_5_signum": "signum5"}),
    ("dab_fashion", ["--nets", "top"], {"dab_fashion_top": "top"}),
    *swept(
        ("hybrid", [], {"hybrid_convolved": "convolved", "hybrid_direct": None}),
        ("ste_mnist", ["--nets", "float", "binary"], {"ste_mnist_float": "real", "ste_mnist_binary": "binary"}),
        (
            "ste_autoencoder",
            [],
            {f"ste_autoencoder_narrow{part}": f"narrow{part}" for part in ("", "_encoder", "_decoder")},
        ),
        ("dab_sorting", ["--length", "10"], {f"dab_sort_10_{n}": f"{n}10" for n in ("signum", "plain", "tanh", "ste")}),
        (
            "dab_fashion",
            [],
            {f"dab_fashion_{n}": n for n in ("signum", "sort", "top", "kmeans", "mean", "ste", "identity")},
        ),
    ),
]


@pytest.fixture
def beside(monkeypatch):
    """Examples import each other."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield
    for path in EXAMPLES.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize(("name", "options", "left"), RUNS)
def test_it_runs_and_leaves_what_it_says(name, options, left, beside, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--quick", "-o", str(tmp_path), *options])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert {path.stem for path in tmp_path.glob("*.pt")} == set(left)
    module = importlib.import_module(name)
    for checkpoint, function in left.items():
        assert f"{checkpoint}: kept in" in said
        if function is None:  # it is built with data
            continue
        state = torch.load(tmp_path / f"{checkpoint}.pt", weights_only=True)
        full = getattr(module, function)().state_dict()
        assert list(state) == list(full)
        if name != "ste_mnist":  # whose quick networks are narrower
            assert [value.shape for value in state.values()] == [value.shape for value in full.values()]


def test_the_order_and_its_loss_are_of_the_last_axis(beside):
    sorting = importlib.import_module("dab_sorting")
    x, order = sorting.samples(5, 4, seed=1)
    assert all(bool((row[index].diff() > 0).all()) for row, index in zip(x, order, strict=True))
    scores = torch.nn.functional.one_hot(order, 4).float() * 50
    assert float(sorting.loss(scores, order)) < 1e-6
    assert sorting.all_right(torch.nn.Identity(), scores, order) == 1
    assert sorting.all_right(torch.nn.Identity(), scores, order.flip(1)) == 0


def test_a_scaler_is_scikit_learns(beside):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = torch.tensor([[1.0, 7.0, -2.0], [2.0, 7.0, 5.0], [6.0, 7.0, 0.5]])
    scaler = importlib.import_module("common").Scaler(3)
    scaler.fit(x)
    wanted = preprocessing.StandardScaler().fit_transform(x.double().numpy())
    assert torch.allclose(scaler(x).double(), torch.from_numpy(wanted), atol=1e-6)


def test_images_are_read_from_idx_files(beside, tmp_path):
    import gzip

    common = importlib.import_module("common")
    folder = tmp_path / "mnist"
    folder.mkdir()
    pixels, classes = bytes(i % 256 for i in range(2 * 784)), bytes([3, 9])
    for part in ("train", "t10k"):
        head = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 28, 28))
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x02" + classes))
    data = common.images(argparse.Namespace(quick=False, data=tmp_path), "mnist")
    assert data.x.shape == (2, 1, 28, 28)
    assert data.x_test.flatten().tolist() == list(pixels)
    assert (data.y.tolist(), data.y_test.dtype) == ([3, 9], torch.int64)


@pytest.mark.sweeps
def test_the_cells_of_the_notebook_run_in_order(tmp_path):
    for name in ("sklearn", "vl_convert", "jinja2"):
        pytest.importorskip(name)
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text())["cells"]
    assert all(not cell.get("outputs") for cell in cells)
    script = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    env = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "values equal" in done.stdout
    assert (tmp_path / "tour" / "report.html").is_file()
