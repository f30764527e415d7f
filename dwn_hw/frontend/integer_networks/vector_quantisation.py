"""Reads k-means of vectors as products with centroids, the greatest of these, and a table of the centroids."""

from __future__ import annotations

import math

import numpy as np

from dwn_hw import ir
from dwn_hw.errors import InputError
from dwn_hw.frontend.integer_networks.read_discretizers import grid_of
from dwn_hw.frontend.integer_networks.trained_network import TrainedStep, Weighted
from dwn_hw.frontend.module_state import Findings
from dwn_hw.ir.edges import Ints
from dwn_hw.nn.dab import KMeans


def steps(part: str, module: KMeans, before: Ints, found: Findings) -> list[TrainedStep]:
    """The steps of ``module`` for samples of the shape ``before``, whose last axis is a vector; none with problems in ``found``.

    Of the squared distance ``‖x − c‖²`` the part that tells centroids apart is ``‖c‖² − 2·x·c``: no input is squared. Centroids
    are rounded to a grid of 8 bits, and the nearest of those wins, the first of equals.
    """
    try:
        module.check()
    except InputError as error:
        for problem in error.problems:
            found.add(part, f"{problem.thing}, {problem.rule}", problem.got, problem.remedy)
        return []
    trained = module.centroids.detach().double().cpu().numpy()
    grid = grid_of(trained)
    codes = np.rint(trained * 2.0**-grid.lsb)
    centroids = codes * 2.0**grid.lsb
    vectors = math.prod(before) // module.width
    weights = np.asarray(np.kron(np.eye(vectors), 2 * centroids), np.float64)
    bias = np.tile(-(centroids**2).sum(axis=1), vectors)
    nearest = Weighted(part, weights, grid.lsb, bias, None)
    book = ir.Codebook(tuple(tuple(int(v) for v in row) for row in codes), grid.lsb)
    return [ir.Reshape((math.prod(before),)), nearest, ir.Reshape((*before[:-1], module.k)), ir.ArgMax(), book]
