"""Compares Triton's kernels, compiled, with plain torch on the CPU: ``python tests/triton_on_gpu.py`` on a machine with a GPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent / "ir"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
os.environ["TRITON_INTERPRET"] = "0"

import numpy as np
import torch

from dwn_hw import _assets, ir
from dwn_hw.frontend.emulate_triton import TritonEmulator
from dwn_hw.ir import evaluate
from dwn_hw.nn import LUTLayer


def gradients(layer, x, grads, form):
    """Output in training and in evaluation, and all gradients, on the CPU."""
    os.environ[_assets.VARIABLE] = form
    layer.zero_grad()
    x = x.clone().requires_grad_()
    out = layer.train()(x)
    out.backward(grads)
    with torch.no_grad():
        evaluated = layer.eval()(x)
    own = [out, evaluated, x.grad, *(p.grad for p in layer.parameters() if p.requires_grad)]
    return [value.detach().cpu() for value in own]


def hold_layer(how, n, dtype):
    """A layer on the GPU by Triton is the layer on the CPU by torch, and gives the same numbers twice."""
    torch.manual_seed(n)
    layer = LUTLayer(300, 210, n, lm_tau=0.05, **how).to(dtype)
    x, grads = (torch.rand(133, 300) > 0.5).to(dtype), torch.randn(133, 210, dtype=dtype)
    plain = gradients(layer, x, grads, "torch")
    layer.cuda()
    found, again = (gradients(layer, x.cuda(), grads.cuda(), "triton") for _ in range(2))
    limit = 1e-11 if dtype == torch.float64 else 3e-4
    for a, b, c in zip(plain, found, again, strict=True):
        torch.testing.assert_close(b, a, rtol=limit, atol=limit)
        assert (b == c).all(), "differs from run to run"


def hold_network(bits):
    """An emulated network is what its nodes mean."""
    from test_emulate_compiled import codes_for, network_of

    network = network_of([ir.Format(bits, bits == 13)] * 9, bits)
    codes = codes_for(network, 0, 70_001)
    scores, y = TritonEmulator(network).run(codes)
    traced = evaluate.trace(network, codes)
    assert np.array_equal(scores, traced[-2])
    assert np.array_equal(y, traced[-1])


if __name__ == "__main__":
    for how in ({}, {"mapping": "learnable"}, {"mapping": "learnable", "candidates": 16}):
        for n in range(1, 9):
            hold_layer(how, n, torch.float32)
        hold_layer(how, 6, torch.float64)
    os.environ[_assets.VARIABLE] = "triton"
    for bits in (1, 6, 13, 32, 60):
        hold_network(bits)
    print("equal")
