"""Sorts against the layers that they are of, and what is refused of nodes that stand behind steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dwn_hw import ir
from dwn_hw.errors import IRError
from dwn_hw.ir import evaluate
from dwn_hw.nn import dab


def nodes_of(layer):
    """The nodes that a sort or a top-k of ``dwn_hw.nn.dab`` becomes."""
    rank = len(layer.shape)
    axes = {"flat": (0,), "last": (rank - 1,), "rows and columns": (rank - 1, rank - 2)}[layer.axes]
    flat = (ir.Reshape((int(np.prod(layer.shape)),)),) if layer.axes == "flat" else ()
    return *flat, ir.Sort(axes, layer.first or 0, layer.descending)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("axes", ["flat", "last", "rows and columns"])
@pytest.mark.parametrize("k", [None, 1, 2, 3])
def test_a_sort_gives_what_the_layer_gives(axes, k, descending):
    for shape in ((4, 3), (3, 5), (2, 3, 4), (2, 2, 3, 3)):
        fmt = ir.Format(3, signed=True)
        layer = dab.Sort(shape, axes, descending) if k is None else dab.TopK(k, shape, axes, descending)
        codes = np.random.default_rng(len(shape)).integers(fmt.low, fmt.high + 1, (50, *shape))
        wanted = layer.eval()(torch.from_numpy(codes).float()).numpy()
        got = evaluate.evaluate(ir.Network(ir.Input(shape, (fmt,)), nodes_of(layer)), codes)
        assert got.shape == wanted.shape
        assert np.array_equal(got, wanted)


def test_no_samples_are_sorted_to_none():
    network = ir.Network(ir.Input((2, 3), (ir.Format(2),)), (ir.Sort((1, 0)),))
    assert evaluate.evaluate(network, np.zeros((0, 2, 3), np.int64)).shape == (0, 12)


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (lambda: ir.Sort(()), "axes: 1 integers of at least 0"),
        (lambda: ir.Sort(1), "a tuple of axes; got 1"),
        (lambda: ir.Sort((1, 1)), "no axis twice"),
        (lambda: ir.Sort((-1,)), "of at least 0"),
        (lambda: ir.Sort((0, 2)).output(ir.Edge((2, 3), (ir.BIT,))), "axes of 0…1"),
        (lambda: ir.Sort((0, 1), 3).output(ir.Edge((2, 3), (ir.BIT,))), "at most the 2 numbers that there are"),
    ],
)
def test_a_node_that_cannot_be_is_refused(node, sentence):
    with pytest.raises(IRError, match=sentence):
        node()
