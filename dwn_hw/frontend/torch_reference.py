"""Runs the model again in torch, as the reference that the frozen network is compared with.

It is built from what the checkpoint says with this project's own training layers, so that a checkpoint can be checked
without the package that trained it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.frontend.trained_dwn import TrainedDwn

#: A function from thermometer bits (samples, bits) to group sums (samples, classes), as integers.
Reference = Callable[[npt.NDArray[Any]], npt.NDArray[np.int64]]


def torch_reference(model: TrainedDwn) -> Reference | None:
    """The layers behind the thermometer as a torch forward, or None where torch is not installed."""
    try:
        import torch

        from dwn_hw import nn
    except ModuleNotFoundError:
        return None
    layers: list[torch.nn.Module] = []
    size = model.thresholds.size
    for layer in model.layers:
        luts, n = layer.mapping.shape
        module = nn.LUTLayer(size, luts, n, mapping=torch.from_numpy(layer.mapping.astype(np.int32)))
        with torch.no_grad():
            module.luts.copy_(torch.from_numpy(layer.tables.astype(np.float32) * 2 - 1))
        layers.append(module)
        size = luts
    permutation = model.group.permutation
    order = False if permutation is None else torch.from_numpy(permutation.astype(np.int64))
    # tau = 1: the sums themselves, which are integers.
    sequence = torch.nn.Sequential(*layers, nn.GroupSum(model.group.k, randperm=order)).eval()

    def reference(bits: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        with torch.no_grad():
            sums = sequence(torch.from_numpy(np.asarray(bits, np.float32)))
        return np.asarray(sums.numpy(), np.float64).astype(np.int64)

    return reference
