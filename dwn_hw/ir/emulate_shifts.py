"""Networks that count in integers through the compiled kernel ``kernels/emulate_shifts.py``: when it is used, and how it is run.

:mod:`dwn_hw.ir.shift_program` makes the kernel's tables. The last node is left to whoever calls: it is the first maximum mostly.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import _assets
from dwn_hw._progress import Progress, silent
from dwn_hw.ir import evaluate
from dwn_hw.ir.network import Network
from dwn_hw.ir.shift_program import LANES, Program, fits, types
from dwn_hw.ir.weighted_nodes import Conv2d, Dense, WeightedNode

#: The samples that a thread takes at once.
_AT_ONCE = 8 * LANES

#: The place of the buffer among the kernel's arguments; the sums are next.
_BUFFER = 6

#: The bytes of a line of the cache.
_LINE = 64


#: The additions from which the kernel is loaded: with convolutions, or sums that no float holds, a second's work without it.
#: Of dense layers alone, where it takes four fifths of a product's time, so many that making its tables takes less than is won.
WORTH, WORTH_DENSE = 10_000_000_000, 200_000_000_000

#: The bits that a float32 and a float64 hold.
_SINGLE, _DOUBLE = 24, 53


def is_worth(network: Network, samples: int) -> bool:
    """Whether so many samples of a network go through the kernel."""
    said = _assets.asked_kernels()
    # First what takes no time: small networks are emulated thousands of times.
    if not samples or said not in (None, "numba") or network.is_luts():
        return False
    if said is None and not gains(network, _additions(network) * samples):
        return False
    return _assets.takes_numba() and fits(network)


def _additions(network: Network) -> int:
    """The weights of all sums, zeros among them, each as often as it is used."""
    layers = ((step.node, step.after) for step in network.steps())
    return sum(
        len(node.weights) * math.prod(after.shape[1:]) for node, after in layers if isinstance(node, WeightedNode)
    )


def gains(network: Network, additions: int) -> bool:
    """Whether so many additions take less time by the kernel than by matrix products.

    These copy each window of a convolution, and are slow where a sum is wider than any float. Of dense layers alone the product
    of float32 is as fast, where it holds every sum; and that of float64, where the kernel's sums take 64 bits.
    """
    loaded = 100 if kernel.cache_info().currsize else 1
    if additions < WORTH // loaded:
        return False
    steps = network.steps()[:-1]
    widest = max((step.after.formats[0].bits for step in steps if isinstance(step.node, Dense)), default=0)
    if widest > _DOUBLE or any(isinstance(step.node, Conv2d) for step in steps):
        return True
    return additions >= WORTH_DENSE and widest > _SINGLE and types(network)[1] == np.int32


@functools.lru_cache(maxsize=1)
def kernel() -> Any:
    """The kernel's module."""
    return _assets.kernel("emulate_shifts.py")


def is_compiled(program: Program) -> bool:
    """Whether numba keeps the kernel compiled for a program's types, as far as can be told without compiling it."""
    file = getattr(getattr(kernel().run, "_cache", None), "_cache_file", None)
    known: dict[Any, Any] = getattr(file, "_load_index", dict)()  # by signature first, in the order of the arguments
    wanted = [str(program.narrow), str(program.wide)]
    return any([str(kind.dtype) for kind in key[0][_BUFFER : _BUFFER + 2]] == wanted for key in known)


class CompiledShifts:
    """A network as the kernel's tables. ``run`` gives what flows into its last node, (samples, *shape)."""

    def __init__(self, network: Network, tell: Progress = silent) -> None:
        self.network, self.program = network, Program(network)
        if not is_compiled(self.program):
            tell("compiling the kernels for this machine, once; about 10 s")

    def run(self, codes: npt.NDArray[Any], progress: Callable[[int], None] = lambda done: None) -> evaluate.Codes:
        """Emulate codes (samples, *input shape)."""
        program = self.program
        out = np.empty((len(codes), program.outputs), np.int64)

        def part(first: int) -> int:
            own = codes[first : first + _AT_ONCE]
            evaluate.check_range(self.network, own)
            rows = np.ascontiguousarray(own.reshape(len(own), -1), program.wide)
            sizes = (program.buffer, program.narrow), *[(n, program.wide) for n in (program.sums, *[program.plane] * 3)]
            spaces = (_zeros(size, kind) for size, kind in sizes)
            tables = (program.segments, program.widths, program.tables)
            kernel().run(rows, 0, len(own), *tables, *spaces, out[first : first + len(own)])
            return len(own)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for done in itertools.accumulate(pool.map(part, range(0, len(codes), _AT_ONCE))):
                progress(done)
        return out.reshape(len(codes), *self.network.edges()[-2].shape)


def _zeros(size: int, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Zeros that begin where a line of the cache does: a vector that lies across two takes twice the time."""
    raw = np.zeros(size * kind.itemsize + _LINE, np.uint8)
    first = -raw.ctypes.data % _LINE
    return raw[first : first + size * kind.itemsize].view(kind)
