"""Hard functions inside of networks, whose gradient is that of a small network beside them: differentiable approximation bridges.

J. Ramapuram and R. Webb, "Improving Discrete Latent Representations With Differentiable Approximation Bridges", WCCI 2020
(arXiv:1905.03658); :class:`SignumWithMargin` and the way of the gradients are as in the authors' code, github.com/apple/ml-dab.
At inference only the hard function is left. ::

    model = nn.Sequential(nn.Linear(10, 256), nn.Tanh(), dab.SignumWithMargin(), nn.Linear(256, 10))
    loss = cross_entropy(model(x), y) + dab.kept_loss(model)

:func:`dwn_hw.nn.training.fit` adds the kept loss by itself. The names stay in this module: ``Sort`` and ``TopK`` say in
:mod:`dwn_hw.nn` too little of how they are trained.
"""

from __future__ import annotations

from dwn_hw.nn.dab.approximators import DenseApproximator, ElementwiseApproximator
from dwn_hw.nn.dab.bernoulli import Bernoulli
from dwn_hw.nn.dab.bridge import DAB, kept_loss
from dwn_hw.nn.dab.kmeans import KMeans
from dwn_hw.nn.dab.signum import BinaryByMean, SignumWithMargin
from dwn_hw.nn.dab.sorting import Sort, TopK

__all__ = [
    "DAB",
    "Bernoulli",
    "BinaryByMean",
    "DenseApproximator",
    "ElementwiseApproximator",
    "KMeans",
    "SignumWithMargin",
    "Sort",
    "TopK",
    "kept_loss",
]
