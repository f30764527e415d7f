"""Modules of steps down to their Verilog: the module with rounded weights = ``evaluate`` = Verilog, and proven for all codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from groups import swept
from trained_steps import STEPS, every_code, scores, through, with_weights_of

import dwn_hw
from dwn_hw.ir import serialize

#: Where numbers of five bits are added up or sorted on thirty bits in all, the solver does not end in a minute; the nodes
#: themselves are proven in narrower networks, tests/verification/test_prove_integers.py.
UNDECIDED = ("mean", "sort", "rows and columns", "first of rows and columns", "vectors")


@pytest.mark.parametrize("name", [*swept(*(name for name in STEPS if name != "levels")), "levels"])
def test_the_verilog_of_a_trained_module_is_the_module(name, tmp_path):
    model, codes = through(name), every_code(3, 2)
    formats = {"activations": "4.4"} if any(word in name for word in ("sort", "first", "columns", "vectors")) else {}
    x = (codes / 4).astype(np.float32)
    report = dwn_hw.export(model, tmp_path / "net", input_format="u2/4", weights="4", latency=0, x=x, **formats)
    assert report["hardware"] == "parallel"
    network = serialize.load(tmp_path / "net" / "network.safetensors")
    rounded = with_weights_of(network, model).double()
    rounded[0].weight.data *= 4
    if not formats:
        with torch.no_grad():
            wanted = rounded(torch.from_numpy(codes / 4)).numpy()
        assert np.abs(scores(network, codes) - wanted).max() <= 2.0 ** network.scores_edge.formats[0].lsb
    _, sums = dwn_hw.predict(tmp_path / "net", x)
    assert np.array_equal(sums * 2.0 ** network.scores_edge.formats[0].lsb, scores(network, codes))
    found = dwn_hw.verify(tmp_path / "net", x=x, simulator="icarus", vectors=20)
    assert found["vectors"] >= 64 + 20
    if name not in UNDECIDED:
        assert dwn_hw.prove(tmp_path / "net", timeout=60)["proven"]
