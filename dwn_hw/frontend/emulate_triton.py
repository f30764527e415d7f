"""Networks of look-up tables on a GPU, through ``kernels/emulate_luts_triton.py``: where ``DWN_HW_KERNELS=triton`` asks for it.

It knows the networks that the compiled kernel of :mod:`dwn_hw.ir.emulate_compiled` knows, and gives what ``ir.evaluate`` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dwn_hw import _assets
from dwn_hw.ir import emulate_compiled, evaluate
from dwn_hw.ir.lut_nodes import LutLayer, Thermometer
from dwn_hw.ir.network import Network
from dwn_hw.nn import triton_planes

#: The samples that go through all layers at once.
AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer as LUTs of each size that it has: wires, words of tables, and where each LUT stands; and how many it has."""

    sizes: tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], ...]
    luts: int


class TritonEmulator:
    """A network on a GPU. ``run`` gives scores (samples, groups) and classes (samples,), int64, as an Emulator does.

    Raises OptionError where there is no GPU.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        _assets.takes_triton(self._device.type)  # or refuses
        formats = network.input.edge.flat_formats()
        ends = [end for fmt in formats for end in (fmt.low, fmt.high)]
        self._codes = _type_for(ends)
        self._encoder: tuple[torch.Tensor, torch.Tensor] | None = None
        if network.encoder is not None:
            self._encoder = self._thresholds(network.encoder, max(ends) + 1)
        self._layers = [self._layer(node) for node in network.nodes if isinstance(node, LutLayer)]
        self._vote = self._voting()

    def run(
        self, codes: npt.NDArray[Any], progress: Callable[[int], None] = lambda done: None
    ) -> tuple[evaluate.Codes, evaluate.Codes]:
        """Emulate ``codes`` (samples, *input shape). Returns (input of the last node, output)."""
        evaluate.check_range(self.network, codes)
        flat = codes.reshape(len(codes), self.network.input.edge.size)

        def parts() -> Iterator[tuple[torch.Tensor, int]]:
            for first in range(0, len(flat), AT_ONCE):
                part = np.ascontiguousarray(flat[first : first + AT_ONCE].astype(self._codes, copy=False))
                yield self._planes(torch.from_numpy(part).to(self._device)), len(part)

        return self._all(parts(), len(flat), progress)

    def run_packed(
        self, planes: npt.NDArray[np.uint64], samples: int, progress: Callable[[int], None] = lambda done: None
    ) -> tuple[evaluate.Codes, evaluate.Codes]:
        """Emulate what comes after the thermometer, or bits at the port, given as planes (bits, words): bit ``i`` of word ``w``
        is of sample ``64·w + i``.
        """
        words = torch.from_numpy(np.ascontiguousarray(planes, "<u8").view(np.int32)).to(self._device)

        def parts() -> Iterator[tuple[torch.Tensor, int]]:
            for first in range(0, samples, AT_ONCE):
                count = min(AT_ONCE, samples - first)
                at = first // 32
                yield words[:, at : at + triton_planes.words_for(count)].contiguous(), count

        return self._all(parts(), samples, progress)

    def _all(
        self, parts: Iterator[tuple[torch.Tensor, int]], samples: int, progress: Callable[[int], None]
    ) -> tuple[evaluate.Codes, evaluate.Codes]:
        scores = np.empty((samples, len(self._vote[-1])), np.int64)
        classes = np.empty(samples, np.int64)
        done = 0
        for planes, count in parts:
            for layer in self._layers:
                planes = _through(layer, planes)
            found = triton_planes.vote(planes, *self._vote, count)
            scores[done : done + count] = found.t().cpu().numpy()
            classes[done : done + count] = found.argmax(dim=0).cpu().numpy()  # the first of equals, as torch documents
            done += count
            progress(done)
        return scores, classes

    def _planes(self, codes: torch.Tensor) -> torch.Tensor:
        """The planes that the first layer reads, of codes (samples, features)."""
        if self._encoder is None:
            return triton_planes.pack(codes)
        return triton_planes.encode(codes.t(), *self._encoder)

    def _tensor(self, values: npt.ArrayLike, kind: npt.DTypeLike) -> torch.Tensor:
        return torch.from_numpy(np.array(values, kind)).to(self._device)

    def _thresholds(self, node: Thermometer, above: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The feature and the number of each threshold, in a type that holds every code and one more."""
        features = [feature for feature, row in enumerate(node.thresholds) for _ in row]
        values = [threshold for row in node.thresholds for threshold in row]
        kind = np.int32 if self._codes != np.int64 and above < 1 << 31 else np.int64
        return self._tensor(features, np.int32), self._tensor(values, kind)

    def _layer(self, node: LutLayer) -> _Layer:
        sizes = []
        for n in sorted({len(row) for row in node.wires}):
            rows = [j for j, row in enumerate(node.wires) if len(row) == n]
            wires = self._tensor([node.wires[j] for j in rows], np.int32)
            width = max(4, (1 << n) // 8)
            data = b"".join(node.tables[j].to_bytes(width, "little") for j in rows)
            tables = self._tensor(np.frombuffer(data, "<i4").reshape(len(rows), -1), np.int32)
            sizes.append((wires, tables, self._tensor(rows, np.int32)))
        return _Layer(tuple(sizes), len(node.tables))

    def _voting(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Where each group begins, members, weights and biases; counted in 64 bits only where 32 do not hold every sum."""
        groups = emulate_compiled.groups_of(self.network)
        most = max(abs(group.bias) + sum(map(abs, group.weights)) for group in groups)
        kind = np.int32 if most < 1 << 31 else np.int64
        firsts = np.cumsum([0, *(len(group.members) for group in groups)])
        members = [member for group in groups for member in group.members]
        weights = [weight for group in groups for weight in group.weights]
        biases = [group.bias for group in groups]
        return (
            self._tensor(firsts, np.int64),
            self._tensor(members, np.int32),
            self._tensor(weights, kind),
            self._tensor(biases, kind),
        )


def _through(layer: _Layer, planes: torch.Tensor) -> torch.Tensor:
    out = planes.new_empty(layer.luts, planes.shape[1])
    for wires, tables, rows in layer.sizes:
        triton_planes.look_up(planes, wires, tables, out, rows)
    return out


def _type_for(ends: list[int]) -> npt.DTypeLike:
    """The narrowest type that holds both ends of every code, of those that torch copies on every device."""
    kinds = (np.uint8, np.int8, np.int16, np.int32, np.int64)
    return next(kind for kind in kinds if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max)
