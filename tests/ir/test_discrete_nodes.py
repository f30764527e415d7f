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


@pytest.mark.parametrize(
    "centroids", [[[-1], [1]], [[1, 2], [-2, 1], [3, -1]], [[0, 0, 3], [0, 3, 0], [3, 0, 0], [-3, -2, 1], [1, 1, 1]]]
)
def test_a_codebook_behind_linear_distances_gives_what_k_means_gives(centroids):
    """Equal distances occur: all vectors of few codes are tried, some between two centroids."""
    centroids = np.array(centroids)
    k, width = centroids.shape
    layer = dab.KMeans(k, width).eval()
    layer.centroids.copy_(torch.from_numpy(centroids))
    fmt = ir.Format(3, signed=True)
    codes = np.stack(np.meshgrid(*[np.arange(fmt.low, fmt.high + 1)] * width), -1).reshape(-1, width)
    codes = np.concatenate([codes, codes[::-1]], 1)  # two vectors a sample
    weights = np.kron(np.eye(2, dtype=np.int64), 2 * centroids)
    bias = np.tile(-(centroids**2).sum(1), 2)
    nodes = (
        ir.Dense(tuple(weights.reshape(-1).tolist()), tuple(bias.tolist()), 0),
        ir.Reshape((2, k)),
        ir.ArgMax(),
        ir.Codebook(tuple(map(tuple, centroids.tolist()))),
    )
    network = ir.Network(ir.Input((2 * width,), (fmt,)), nodes)
    distances = ((codes.reshape(-1, 1, width) - centroids) ** 2).sum(-1)
    assert (np.sort(distances)[:, 0] == np.sort(distances)[:, 1]).any()
    wanted = layer.hard(torch.from_numpy(codes).float().reshape(-1, 2, width)).numpy()
    assert np.array_equal(evaluate.evaluate(network, codes), wanted)


def test_no_samples_are_sorted_to_none():
    network = ir.Network(ir.Input((2, 3), (ir.Format(2),)), (ir.Sort((1, 0)),))
    assert evaluate.evaluate(network, np.zeros((0, 2, 3), np.int64)).shape == (0, 12)


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (lambda: ir.Codebook(()), "rows of one length"),
        (lambda: ir.Codebook(((1, 2), (3,))), "rows of one length, at least one; got .1, 2."),
        (lambda: ir.Codebook(((0.5,),)), "values: 1 integers"),
        (lambda: ir.Codebook(((1 << 62,),)), "codes of at most 62 bits"),
        (lambda: ir.Codebook(((1,),)).output(ir.Edge((2,), (ir.Format(1, True),))), "indices of 1 rows, u1; got s1"),
        (lambda: ir.Codebook(((1,),) * 5).output(ir.Edge((2,), (ir.Format(2),))), "indices of 5 rows, u3; got u2"),
        (lambda: ir.Codebook(((1,),) * 5).output(ir.Edge((2,), (ir.Format(40),))), "indices of 5 rows, u3; got u40"),
        (lambda: ir.Sort(()), "axes: 1 integers of at least 0"),
        (lambda: ir.Sort(levels=(0,)), "levels that rise, two at least or none"),
        (lambda: ir.Sort(levels=(0, 2, 2)), "levels that rise"),
        (lambda: ir.Sort(levels=(0, 1 << 62)), "codes of at most 62 bits"),
        (lambda: ir.Sort(levels=(0, 1, 4)).output(ir.Edge((2,), (ir.Format(3),))), "words of 2 bits, u2; got u3"),
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
