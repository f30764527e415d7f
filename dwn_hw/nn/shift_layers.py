"""Shift layers with weights 0 or ``±2**s``; names, arguments and state_dict keys of DeepShift.

Two ways to train them (Elhoushi et al., arXiv:1905.13298, and the authors' code):

* **PS**, :class:`LinearShift` and :class:`Conv2dShift`: the parameters are ``shift`` and ``sign``, and the weight is
  ``2**round(shift) · sign(round(sign))``, so that a sign within ±0.5 is a weight of 0;
* **Q**, :class:`LinearShiftQ` and :class:`Conv2dShiftQ`: the parameter is ``weight``, rounded to ``±2**round(log2|weight|)``.

``weight_bits`` (sign included) bounds the exponents: PS ``-(2**(weight_bits-1) - 2)…0``, where one code is left for weights of 0,
Q ``-(2**(weight_bits-1) - 1)…0``. Parameters beyond are clamped in the forward pass. ``weight_bits=None``: no bound.
What is rounded beside the weights differs by layer, as it does in DeepShift's code (``deepshift/modules.py`` and
``modules_q.py``, without their kernels): the convolutions floor what comes in and the bias, :class:`LinearShiftQ` what comes
in alone, :class:`LinearShift` neither. ``floored=True`` has a linear layer floor both, so that the hardware's activations are
the ones it was trained with. To floor is to floor to ``act_fraction_bits`` fraction bits and clamp to ``act_integer_bits`` (sign
included), 16 and 16 by default; both None: nothing is floored.

``check_grad`` makes the parameters float64. ``use_kernel`` and ``use_cuda`` are taken for upstream's sake: there is no kernel
here, and every device runs the same code.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional, init

from dwn_hw.nn import shift_kernels, shift_ste
from dwn_hw.nn._checks import boolean, refuse, whole_number

#: The range in which ``shift`` begins without ``weight_bits``, and in a convolution always, as DeepShift's does.
UNBOUNDED_START = (-10.0, -1.0)


class ShiftLayer(nn.Module, ABC):
    """What the four layers share: how exponents, activations and the bias are rounded."""

    #: The number of exponents that a weight of so many bits cannot have: PS keeps one code for 0.
    spare_codes: ClassVar[int] = 1

    #: Whether the layer floors what comes in, and its bias.
    floors: ClassVar[tuple[bool, bool]] = (True, True)

    bias: nn.Parameter | None

    def __init__(
        self,
        shape: tuple[int, ...],
        bias: bool,
        *,
        check_grad: bool,
        rounding: str,
        weight_bits: int | None,
        act_integer_bits: int | None,
        act_fraction_bits: int | None,
        freeze_sign: bool = False,
        floored: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.floored = boolean(f"{name} floored", floored)
        if rounding not in shift_ste.ROUNDINGS:
            rule = f"one of {', '.join(shift_ste.ROUNDINGS)}"
            raise refuse(f"{name} rounding", rule, repr(rounding), f"Give {rule}.")
        if (act_integer_bits is None) != (act_fraction_bits is None):
            got = f"{act_integer_bits} and {act_fraction_bits}"
            raise refuse(
                f"{name} act_integer_bits and act_fraction_bits", "two numbers, or None twice", got, "Give both."
            )
        self.rounding, self.weight_bits = rounding, weight_bits
        self.shift_range: tuple[int, int] | None = None
        if weight_bits is not None:
            bits = whole_number(f"{name} weight_bits", weight_bits, 2, 8)
            self.shift_range = (-((1 << (bits - 1)) - self.spare_codes), 0)
        self.act_integer_bits = None
        self.act_fraction_bits = None
        if act_integer_bits is not None:
            self.act_integer_bits = whole_number(f"{name} act_integer_bits", act_integer_bits, 1, 32)
            self.act_fraction_bits = whole_number(f"{name} act_fraction_bits", act_fraction_bits, 0, 32)
        dtype = torch.float64 if boolean(f"{name} check_grad", check_grad) else torch.get_default_dtype()
        self._make_weights(shape, dtype, boolean(f"{name} freeze_sign", freeze_sign))
        wanted = boolean(f"{name} bias", bias)
        self.bias = nn.Parameter(torch.empty(shape[0], dtype=dtype)) if wanted else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start again, at random."""
        self._reset_weights()
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(next(self.parameters()).shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    @abstractmethod
    def rounded_weight(self) -> torch.Tensor:
        """The weights that the forward pass uses, straight through to the parameters; clamps these first, in place."""

    @abstractmethod
    def _make_weights(self, shape: tuple[int, ...], dtype: torch.dtype, freeze_sign: bool) -> None:
        """Make the parameters of weights of a shape."""

    @abstractmethod
    def _reset_weights(self) -> None:
        """Start the weights again, at random."""

    @property
    def floors_input(self) -> bool:
        """Whether what comes in is floored to a fixed-point format."""
        return (self.floors[0] or self.floored) and self.act_integer_bits is not None

    @property
    def floors_bias(self) -> bool:
        """Whether the bias is floored to that format, too."""
        return (self.floors[1] or self.floored) and self.act_integer_bits is not None

    def _fixed_point(self, x: torch.Tensor) -> torch.Tensor:
        assert self.act_integer_bits is not None
        assert self.act_fraction_bits is not None
        return shift_ste.round_fixed_point(x, self.act_integer_bits, self.act_fraction_bits)

    def _rounded_input(self, x: torch.Tensor) -> torch.Tensor:
        return self._fixed_point(x) if self.floors_input else x

    def _rounded_bias(self) -> torch.Tensor | None:
        return self._fixed_point(self.bias) if self.bias is not None and self.floors_bias else self.bias

    def _rounding_text(self) -> str:
        texts = [f"bias={self.bias is not None}", f"weight_bits={self.weight_bits}"]
        texts += [f"rounding={self.rounding}"] if self.rounding != "deterministic" else []
        texts += [f"activations {self.act_integer_bits}.{self.act_fraction_bits}"] if self.floors_input else []
        texts += ["floored=True"] if self.floored else []
        return ", ".join(texts)


class PsWeights(ShiftLayer):
    """Weights as parameters ``shift`` and ``sign``."""

    spare_codes = 2
    shift: nn.Parameter
    sign: nn.Parameter

    def _make_weights(self, shape: tuple[int, ...], dtype: torch.dtype, freeze_sign: bool) -> None:
        self.shift = nn.Parameter(torch.empty(shape, dtype=dtype))
        self.sign = nn.Parameter(torch.empty(shape, dtype=dtype), requires_grad=not freeze_sign)

    def _start(self) -> tuple[float, float]:
        """The range in which ``shift`` begins."""
        return self.shift_range or UNBOUNDED_START

    def _reset_weights(self) -> None:
        self.shift.data.uniform_(*self._start())
        self.sign.data.uniform_(-1, 1)

    def rounded_weight(self) -> torch.Tensor:
        """The weights ``2**round(shift) · sign(round(sign))``."""
        if self.shift_range is not None:
            self.shift.data.clamp_(*self.shift_range)
        if shift_kernels.takes(self.shift_range, self.rounding, self.shift, self.sign):
            return shift_kernels.from_shifts(self.shift, self.sign)
        shift = shift_ste.round(self.shift, self.rounding)
        sign = shift_ste.sign(shift_ste.round(self.sign, self.rounding))
        return shift_ste.unsym_grad_mul(2.0**shift, sign)


class QWeights(ShiftLayer):
    """Weights as one parameter ``weight``."""

    weight: nn.Parameter

    def _make_weights(self, shape: tuple[int, ...], dtype: torch.dtype, freeze_sign: bool) -> None:
        self.weight = nn.Parameter(torch.empty(shape, dtype=dtype))

    def _reset_weights(self) -> None:
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def rounded_weight(self) -> torch.Tensor:
        """The weights ``±2**round(log2|weight|)``."""
        if self.shift_range is not None:
            least, most = self.shift_range
            if shift_kernels.takes(self.shift_range, self.rounding, self.weight):
                weights = shift_kernels.from_weights(self.weight, 2.0**least, 2.0**most)
                if weights is not None:
                    return weights
            self.weight.data = shift_ste.clampabs(self.weight.data, 2.0**least, 2.0**most)
        return shift_ste.round_power_of_2(self.weight, self.rounding)


class _Linear(ShiftLayer):
    """A linear layer: (…, in_features) → (…, out_features)."""

    in_features: int
    out_features: int

    def _linear(self, in_features: int, out_features: int) -> tuple[int, int]:
        name = type(self).__name__
        return whole_number(f"{name} out_features", out_features), whole_number(f"{name} in_features", in_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sums (…, out_features)."""
        return functional.linear(self._rounded_input(x), self.rounded_weight(), self._rounded_bias())

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"in_features={self.in_features}, out_features={self.out_features}, {self._rounding_text()}"


class LinearShift(_Linear, PsWeights):
    """A linear layer by ``shift`` and ``sign`` (out_features, in_features); ``freeze_sign``: signs are not trained.

    As DeepShift's, it floors neither what comes in nor the bias, unless ``floored``.
    """

    floors = (False, False)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        check_grad: bool = False,
        freeze_sign: bool = False,
        use_kernel: bool = False,
        use_cuda: bool = True,
        rounding: str = "deterministic",
        weight_bits: int | None = 5,
        act_integer_bits: int | None = 16,
        act_fraction_bits: int | None = 16,
        floored: bool = False,
    ) -> None:
        super().__init__(
            self._linear(in_features, out_features),
            bias,
            check_grad=check_grad,
            freeze_sign=freeze_sign,
            rounding=rounding,
            weight_bits=weight_bits,
            act_integer_bits=act_integer_bits,
            act_fraction_bits=act_fraction_bits,
            floored=floored,
        )
        self.in_features, self.out_features = in_features, out_features


class LinearShiftQ(_Linear, QWeights):
    """A linear layer by ``weight`` (out_features, in_features), rounded in the forward pass.

    As DeepShift's, it floors what comes in and leaves the bias as it is, unless ``floored``.
    """

    floors = (True, False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sums (…, out_features), to which the bias is added last: in float32 that decides the last bit."""
        sums = functional.linear(self._rounded_input(x), self.rounded_weight())
        bias = self._rounded_bias()
        return sums if bias is None else sums + bias

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        check_grad: bool = False,
        use_kernel: bool = False,
        use_cuda: bool = True,
        rounding: str = "deterministic",
        weight_bits: int | None = 5,
        act_integer_bits: int | None = 16,
        act_fraction_bits: int | None = 16,
        floored: bool = False,
    ) -> None:
        super().__init__(
            self._linear(in_features, out_features),
            bias,
            check_grad=check_grad,
            rounding=rounding,
            weight_bits=weight_bits,
            act_integer_bits=act_integer_bits,
            act_fraction_bits=act_fraction_bits,
            floored=floored,
        )
        self.in_features, self.out_features = in_features, out_features
