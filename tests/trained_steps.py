"""Small modules of three features with a step of each kind, and what compares networks with them, for several test files."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import torch
from torch import nn

from dwn_hw import ir
from dwn_hw.ir import evaluate
from dwn_hw.nn import STE, BinaryDiscretizer, MultiDiscretizer, StraightThroughEstimator, StraightThroughWrapper, dab


def every_code(features: int, bits: int) -> np.ndarray:
    """All codes of a port of ``features`` times ``bits`` bits."""
    return np.array(list(itertools.product(range(1 << bits), repeat=features)), np.int64)


def with_weights_of(network: ir.Network, model: nn.Module) -> nn.Module:
    """``model`` with the weights that ``network`` holds, in their order; and the biases, where these are not in a step."""
    other = copy.deepcopy(model).eval()
    kinds = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    layers = [m for name, m in other.named_modules() if isinstance(m, kinds) and "approximator" not in name]
    edges = network.edges()
    held = [(node, edge) for node, edge in zip(network.nodes, edges, strict=False) if hasattr(node, "weights")]
    held = [pair for pair in held if len(pair[0].weights) in {layer.weight.numel() for layer in layers}]
    for layer, (node, edge) in zip(layers, held, strict=True):
        weights = torch.tensor(node.weights, dtype=torch.float64).reshape(layer.weight.shape) * 2.0**node.low
        layer.weight.data = weights.to(layer.weight.dtype)
        if any(node.bias):
            bias = torch.tensor(node.bias, dtype=torch.float64) * 2.0 ** (node.low + edge.formats[0].lsb)
            layer.bias.data = bias.to(layer.bias.dtype)
    return other


def scores(network: ir.Network, codes: np.ndarray) -> np.ndarray:
    """Real numbers: what the module gives."""
    values = evaluate.trace(network, codes)
    return values[-2 if network.classifies else -1] * 2.0 ** network.scores_edge.formats[0].lsb


def quarters(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def vectors(k: int, width: int) -> nn.Module:
    """Centroids of vectors that a grid of 8 bits holds."""
    made = dab.KMeans(k, width)
    made.centroids.copy_(torch.randint(-64, 64, (k, width), generator=torch.Generator().manual_seed(1)) / 64)
    return made


STEPS = {
    "ste": (nn.Identity(), STE()),
    "clamped ste": (nn.ReLU(), StraightThroughEstimator()),
    "binary": (nn.Sigmoid(), BinaryDiscretizer()),
    "levels": (nn.ReLU(), MultiDiscretizer(4, quarters(0.0, 0.25, 1.5, 0.75))),
    "signum": (nn.Tanh(), dab.SignumWithMargin(0.5)),
    "means": (nn.ELU(), dab.KMeans(3)),
    "coin": (nn.Hardtanh(), dab.Bernoulli(deterministic=True)),
    "dice": (nn.Sigmoid(), dab.Bernoulli(seed=7)),
    "norm": (nn.BatchNorm1d(6), BinaryDiscretizer()),
    "norm and gelu": (nn.Sequential(nn.BatchNorm1d(6), nn.GELU()), STE()),
    "mean": (nn.Identity(), dab.BinaryByMean()),
    "sort": (nn.ReLU6(), dab.Sort(6)),
    "first": (nn.Hardtanh(-0.5, 2), dab.TopK(2, 6, descending=True)),
    "rows and columns": (nn.Unflatten(1, (2, 3)), nn.Sequential(dab.Sort((2, 3), "rows and columns"), nn.Flatten())),
    "first of rows and columns": (
        nn.Unflatten(1, (3, 2)),
        nn.Sequential(dab.TopK(1, (3, 2), "rows and columns", descending=True), nn.Flatten()),
    ),
    "vectors": (nn.Sequential(nn.Hardtanh(), nn.Unflatten(1, (2, 3))), nn.Sequential(vectors(4, 3), nn.Flatten())),
}


def through(name: str, seed: int = 0) -> nn.Module:
    """Three features, six numbers, what is tried, three scores."""
    torch.manual_seed(seed)
    before, step = copy.deepcopy(STEPS[name])
    for norm in (m for m in before.modules() if isinstance(m, nn.BatchNorm1d)):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.uniform_(-1, 1)
    outputs = {"first": 2, "rows and columns": 12, "first of rows and columns": 5}.get(name, 6)
    last = nn.Linear(outputs, 3)
    middle = StraightThroughWrapper(last, step) if name in ("binary", "levels") else nn.Sequential(step, last)
    first = nn.Linear(3, 6)
    first.weight.data *= 4
    return nn.Sequential(first, before, middle).eval()
