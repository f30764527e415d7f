"""Layers on Triton's kernels are the layers in torch: outputs, gradients, training; and the machine code that a GPU would run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from groups import swept
from torch import nn

from dwn_hw import _assets
from dwn_hw.nn import GroupSum, LUTLayer, triton_luts
from dwn_hw.nn.training import fit, predict

pytest.importorskip("triton")

HERE = Path(__file__).resolve()

MAPPINGS = {
    "random": {},
    "candidates": {"mapping": "learnable", "candidates": 4},
    "learnable": {"mapping": "learnable"},
    "arange": {"mapping": "arange"},
}


@pytest.fixture(autouse=True)
def _interpreted():
    if not _assets.interprets_triton():
        pytest.skip("TRITON_INTERPRET is off: kernels would be compiled")


def network(how, ste=True, dtype=torch.float32):
    torch.manual_seed(3)
    layers = (LUTLayer(20, 12, 3, ste=ste, lm_tau=0.05, **how), LUTLayer(12, 6, 2, ste=ste, lm_tau=0.05, **how))
    return nn.Sequential(*layers).to(dtype)


def run(form, model, x, grads, monkeypatch):
    """The output in training and in evaluation, and every gradient."""
    monkeypatch.setenv(_assets.VARIABLE, form)
    model.zero_grad()
    x = x.clone()
    if x.is_floating_point():
        x.requires_grad_()
    out = model.train()(x)
    out.backward(grads)
    with torch.no_grad():
        evaluated = model.eval()(x)
    found = [out.detach(), evaluated, *([x.grad] if x.is_floating_point() else [])]
    return found + [parameter.grad for parameter in model.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("ste", [True, *swept(False)])
@pytest.mark.parametrize("name", ["candidates", *swept("random", "learnable", "arange")])
@pytest.mark.parametrize("dtype", [torch.float32, *swept(torch.float64)])
def test_outputs_and_gradients_are_those_of_torch(name, ste, dtype, monkeypatch):
    model = network(MAPPINGS[name], ste, dtype)
    x, grads = (torch.rand(9, 20) > 0.5).to(dtype), torch.randn(9, 6, dtype=dtype)
    one, other = (run(form, model, x, grads, monkeypatch) for form in ("torch", "triton"))
    assert all((a == b).all() for a, b in zip(one[:2], other[:2], strict=True))
    limit = 1e-12 if dtype == torch.float64 else 2e-5
    for a, b in zip(one[2:], other[2:], strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        torch.testing.assert_close(b, a, rtol=limit, atol=limit)


@pytest.mark.sweeps
@pytest.mark.parametrize("name", ["candidates", "random", "learnable"])
def test_bits_of_type_bool_give_the_same_gradients(name, monkeypatch):
    model = network(MAPPINGS[name])
    bits, grads = torch.rand(35, 20) > 0.5, torch.randn(35, 6)
    packed = run("triton", model, bits, grads, monkeypatch)
    plain = run("triton", model, bits.float(), grads, monkeypatch)
    del plain[2]  # of x itself
    for a, b in zip(packed, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_where_inputs_are_read_is_kept_until_the_mapping_changes():
    wires = nn.Parameter(torch.tensor([[2, 0], [2, 2]], dtype=torch.int32), requires_grad=False)
    firsts, places = triton_luts.transposed(wires, 4)
    assert (firsts.tolist(), places.tolist()) == ([0, 1, 1, 4, 4], [1, 0, 2, 3])
    assert triton_luts.transposed(wires, 4)[1] is places
    with torch.no_grad():
        wires.copy_(torch.tensor([[1, 0], [3, 3]], dtype=torch.int32))
    assert triton_luts.transposed(wires, 4)[0].tolist() == [0, 1, 2, 2, 4]
    wires.data = torch.tensor([[0, 0], [0, 0]], dtype=torch.int32)
    assert triton_luts.transposed(wires, 4)[0].tolist() == [0, 4, 4, 4, 4]


@pytest.mark.sweeps
def test_it_trains_the_network_that_torch_trains(monkeypatch):
    """Not to the last bit: sums are regrouped; but after some steps every prediction is the same."""
    x, y = (torch.rand(60, 20) > 0.5).float(), torch.randint(0, 3, (60,), generator=torch.Generator().manual_seed(0))
    found = []
    for form in ("torch", "triton", "triton"):
        monkeypatch.setenv(_assets.VARIABLE, form)
        model = nn.Sequential(*network(MAPPINGS["candidates"]), GroupSum(3))
        history = fit(model, x, y, epochs=2, batch_size=20)
        found.append((predict(model, x), [epoch.loss for epoch in history], model.state_dict()))
    assert (found[0][0] == found[1][0]).all()
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-4)
    assert all((value == found[2][2][name]).all() for name, value in found[1][2].items())  # the same every time


@pytest.mark.sweeps
def test_every_launch_compiles_to_machine_code_of_two_gpus(tmp_path):
    """In a process of its own, where Triton compiles; what a program's threads share fits the smallest of those GPUs."""
    env = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, str(HERE.parents[1] / "triton_machine_code.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    kernels = {name for file in ("train_luts_triton.py", "emulate_luts_triton.py") for name in public(file)}
    assert {name for name, *_ in lines} == kernels
    assert {target for _, target, *_ in lines} == {"80", "90"}
    assert all(int(size) > 0 and int(shared) <= 100_000 for *_, size, shared in lines)


def public(file):
    """The names of a file's kernels."""
    return {name for name, value in vars(_assets.kernel(file)).items() if hasattr(value, "fn") and name[0] != "_"}


def test_on_a_gpu_the_same_holds():
    """In a process of its own, where Triton compiles."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can use (none here)")
    command = [sys.executable, str(HERE.parents[1] / "triton_on_gpu.py")]
    env = {**os.environ, "TRITON_INTERPRET": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
