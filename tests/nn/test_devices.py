"""Where a training runs: a GPU that is asked for and not there is refused; a state is the same whatever device it was on."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.errors import OptionError
from dwn_hw.nn import devices, trainer
from dwn_hw.nn.recipe import for_data


@pytest.fixture
def without(monkeypatch):
    """A machine without a GPU, whatever this one has."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def samples(count=90):
    x = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    return x, x.argmax(axis=1)


@pytest.mark.parametrize(
    ("built", "got", "remedy"),
    [
        (None, r"none: torch \S+ is built for CPUs alone", "torch's build for your GPU"),
        ("13.0", r"none: torch \S+ finds no GPU, or no driver of one", "whether nvidia-smi lists a GPU"),
    ],
)
def test_a_gpu_that_is_not_there_is_a_sentence_with_what_is(without, monkeypatch, built, got, remedy):
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.version, "hip", None)
    says = rf"--device: cuda, a GPU that torch can use; got {got}\. Train with --device cpu, or .*{remedy}"
    with pytest.raises(OptionError, match=says):
        devices.device_for("cuda")
    assert devices.device_for("auto") == devices.device_for("cpu") == torch.device("cpu")


def test_a_gpu_is_used_where_there_is_one_unless_the_cpu_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [devices.device_for(asked).type for asked in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    with pytest.raises(OptionError, match="--device: one of auto, cpu, cuda; got 'gpu'"):
        devices.device_for("gpu")


def test_the_command_and_fit_refuse_before_any_work(without, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = samples()
    np.savez(tmp_path / "s.npz", x=x, y=y)
    done = CliRunner().invoke(main.main, ["train", "s.npz", "--device", "cuda"])
    assert done.exit_code == 2
    assert "--device: cuda, a GPU that torch can use; got none" in done.output
    with pytest.raises(OptionError, match="--device: cuda"):
        dwn_hw.fit(x, y, tmp_path / "m.pt", device="cuda")
    assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]


def test_a_state_is_of_the_cpu_and_all_that_the_next_epochs_depend_on():
    x, y = samples()
    training = trainer.Trainer(for_data(x, 3, epochs=2, luts=(9,), n=2), x, y, 3)
    epochs = training.epochs()
    next(epochs)
    state = copy.deepcopy(training.state())
    found: list[torch.Tensor] = []

    def look(value):
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
            look(part)
        if isinstance(value, torch.Tensor):
            found.append(value)

    look(state)
    assert len(found) > 8
    assert {tensor.device.type for tensor in found} == {"cpu"}
    again = trainer.Trainer(for_data(x, 3, epochs=2, luts=(9,), n=2), x, y, 3)
    again.resume(state)
    list(epochs)
    list(again.epochs())
    assert training.history == again.history


def test_on_a_gpu_a_training_goes_on_from_the_state_of_a_cpu():
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can use (none here)")
    x, y = samples()
    recipe = for_data(x, 3, epochs=2, luts=(9,), n=2)
    first = trainer.Trainer(recipe, x, y, 3, "cpu")
    next(first.epochs())
    second = trainer.Trainer(recipe, x, y, 3, "cuda")
    second.resume(first.state())
    list(second.epochs())
    list(first.epochs())
    assert first.history[-1][0] == pytest.approx(second.history[-1][0], rel=1e-3)
    assert next(second.finish().parameters()).device.type == "cpu"
