"""Shift layers, linear and convolutional, with weights 0 or ``±2**s``; names, arguments and state_dict keys of DeepShift.

Two ways to train them (Elhoushi et al., arXiv:1905.13298, and the authors' code):

* **PS**, :class:`LinearShift` and :class:`Conv2dShift`: the parameters are ``shift`` and ``sign``, and the weight is
  ``2**round(shift) · sign(round(sign))``, so that a sign within ±0.5 is a weight of 0;
* **Q**, :class:`LinearShiftQ` and :class:`Conv2dShiftQ`: the parameter is ``weight``, rounded to ``±2**round(log2|weight|)``.

``weight_bits`` (sign included) bounds the exponents: PS ``-(2**(weight_bits-1) - 2)…0``, where one code is left for weights of 0,
Q ``-(2**(weight_bits-1) - 1)…0``. Parameters beyond are clamped in the forward pass. ``weight_bits=None``: no bound.
What comes in, and the bias, is floored to ``act_fraction_bits`` fraction bits and clamped to ``act_integer_bits`` (sign
included), 16 and 16 by default; both None: it is left as it is, as some variants of DeepShift do.

``check_grad`` makes the parameters float64. ``use_kernel`` and ``use_cuda`` are taken for upstream's sake: there is no kernel
here, and every device runs the same code.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional, init
from torch.nn.modules.utils import _pair

from dwn_hw.nn import shift_ste
from dwn_hw.nn._checks import boolean, refuse, whole_number

#: The range in which ``shift`` begins without ``weight_bits``.
_UNBOUNDED_START = (-10.0, -1.0)


class ShiftLayer(nn.Module):
    """What the four layers share: how exponents, activations and the bias are rounded."""

    #: The number of exponents that a weight of so many bits cannot have: PS keeps one code for 0.
    spare_codes: ClassVar[int] = 1

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
    ) -> None:
        super().__init__()
        name = type(self).__name__
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

    def rounded_weight(self) -> torch.Tensor:
        """The weights that the forward pass uses, straight through to the parameters; clamps these first, in place."""
        raise NotImplementedError

    def _make_weights(self, shape: tuple[int, ...], dtype: torch.dtype, freeze_sign: bool) -> None:
        raise NotImplementedError

    def _reset_weights(self) -> None:
        raise NotImplementedError

    def _fixed_point(self, x: torch.Tensor) -> torch.Tensor:
        if self.act_integer_bits is None or self.act_fraction_bits is None:
            return x
        return shift_ste.round_fixed_point(x, self.act_integer_bits, self.act_fraction_bits)

    def _rounded_bias(self) -> torch.Tensor | None:
        return None if self.bias is None else self._fixed_point(self.bias)

    def _rounding_text(self) -> str:
        texts = [f"bias={self.bias is not None}", f"weight_bits={self.weight_bits}"]
        texts += [f"rounding={self.rounding}"] if self.rounding != "deterministic" else []
        texts += [f"activations {self.act_integer_bits}.{self.act_fraction_bits}"]
        return ", ".join(texts)


class _PsWeights(ShiftLayer):
    """Weights as parameters ``shift`` and ``sign``."""

    spare_codes = 2
    shift: nn.Parameter
    sign: nn.Parameter

    def _make_weights(self, shape: tuple[int, ...], dtype: torch.dtype, freeze_sign: bool) -> None:
        self.shift = nn.Parameter(torch.empty(shape, dtype=dtype))
        self.sign = nn.Parameter(torch.empty(shape, dtype=dtype), requires_grad=not freeze_sign)

    def _reset_weights(self) -> None:
        self.shift.data.uniform_(*(self.shift_range or _UNBOUNDED_START))
        self.sign.data.uniform_(-1, 1)

    def rounded_weight(self) -> torch.Tensor:
        """The weights ``2**round(shift) · sign(round(sign))``."""
        if self.shift_range is not None:
            self.shift.data.clamp_(*self.shift_range)
        shift = shift_ste.round(self.shift, self.rounding)
        sign = shift_ste.sign(shift_ste.round(self.sign, self.rounding))
        return shift_ste.unsym_grad_mul(2.0**shift, sign)


class _QWeights(ShiftLayer):
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
        return functional.linear(self._fixed_point(x), self.rounded_weight(), self._rounded_bias())

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"in_features={self.in_features}, out_features={self.out_features}, {self._rounding_text()}"


class LinearShift(_Linear, _PsWeights):
    """A linear layer by ``shift`` and ``sign`` (out_features, in_features); ``freeze_sign``: signs are not trained."""

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
        )
        self.in_features, self.out_features = in_features, out_features


class LinearShiftQ(_Linear, _QWeights):
    """A linear layer by ``weight`` (out_features, in_features), rounded in the forward pass."""

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
    ) -> None:
        super().__init__(
            self._linear(in_features, out_features),
            bias,
            check_grad=check_grad,
            rounding=rounding,
            weight_bits=weight_bits,
            act_integer_bits=act_integer_bits,
            act_fraction_bits=act_fraction_bits,
        )
        self.in_features, self.out_features = in_features, out_features


class _Conv2d(ShiftLayer):
    """A convolution: (…, in_channels, height, width) → (…, out_channels, height, width).

    Every argument means what it means for :class:`torch.nn.Conv2d`. So circular padding goes round by all of ``padding`` on each
    side, where upstream's layers, after an old version of torch, go by half of it.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    padding_mode: str

    def _shape(self, inputs: int, outputs: int, kernel: Any, groups: int) -> tuple[int, ...]:
        name = type(self).__name__
        for what, value in (("in_channels", inputs), ("out_channels", outputs), ("groups", groups)):
            whole_number(f"{name} {what}", value)
        for what, value in (("in_channels", inputs), ("out_channels", outputs)):
            if value % groups:
                raise refuse(f"{name} {what}", f"a multiple of groups ({groups})", f"{value}", "Change one of them.")
        return (outputs, inputs // groups, *_two(name, "kernel_size", kernel))

    def _place(
        self, inputs: int, outputs: int, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int, mode: str
    ) -> None:
        """Store the sizes that say where the window goes."""
        name = type(self).__name__
        if mode not in ("zeros", "circular"):
            raise refuse(f"{name} padding_mode", "zeros or circular", repr(mode), "Give one of the two.")
        self.in_channels, self.out_channels, self.groups, self.padding_mode = inputs, outputs, groups, mode
        self.kernel_size, self.stride = _two(name, "kernel_size", kernel), _two(name, "stride", stride)
        self.padding, self.dilation = _two(name, "padding", padding, 0), _two(name, "dilation", dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sums (…, out_channels, height, width)."""
        x, padding = self._fixed_point(x), self.padding
        if self.padding_mode == "circular":
            rows, columns = self.padding
            x, padding = functional.pad(x, (columns, columns, rows, rows), mode="circular"), (0, 0)
        weight, bias = self.rounded_weight(), self._rounded_bias()
        return functional.conv2d(x, weight, bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        odd = [f"padding={self.padding}, padding_mode={self.padding_mode}"] if any(self.padding) else []
        odd += [f"dilation={self.dilation}"] if self.dilation != (1, 1) else []
        odd += [f"groups={self.groups}"] if self.groups > 1 else []
        first = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        return ", ".join([first, *odd, self._rounding_text()])


class Conv2dShift(_Conv2d, _PsWeights):
    """A convolution by ``shift`` and ``sign`` (out_channels, in_channels / groups, rows, columns)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        check_grad: bool = False,
        freeze_sign: bool = False,
        use_kernel: bool = False,
        use_cuda: bool = True,
        rounding: str = "deterministic",
        weight_bits: int | None = 5,
        act_integer_bits: int | None = 16,
        act_fraction_bits: int | None = 16,
    ) -> None:
        super().__init__(
            self._shape(in_channels, out_channels, kernel_size, groups),
            bias,
            check_grad=check_grad,
            freeze_sign=freeze_sign,
            rounding=rounding,
            weight_bits=weight_bits,
            act_integer_bits=act_integer_bits,
            act_fraction_bits=act_fraction_bits,
        )
        self._place(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)


class Conv2dShiftQ(_Conv2d, _QWeights):
    """A convolution by ``weight`` (out_channels, in_channels / groups, rows, columns), rounded in the forward pass."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        check_grad: bool = False,
        use_kernel: bool = False,
        use_cuda: bool = True,
        rounding: str = "deterministic",
        weight_bits: int | None = 5,
        act_integer_bits: int | None = 16,
        act_fraction_bits: int | None = 16,
    ) -> None:
        super().__init__(
            self._shape(in_channels, out_channels, kernel_size, groups),
            bias,
            check_grad=check_grad,
            rounding=rounding,
            weight_bits=weight_bits,
            act_integer_bits=act_integer_bits,
            act_fraction_bits=act_fraction_bits,
        )
        self._place(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)


def _two(name: str, what: str, value: Any, least: int = 1) -> tuple[int, int]:
    """The pair (rows, columns), from one number for both or from two."""
    pair = tuple(_pair(value))
    if len(pair) != 2:
        raise refuse(f"{name} {what}", "one whole number, or two", repr(value), "Give (rows, columns).")
    rows, columns = (whole_number(f"{name} {what}", number, least) for number in pair)
    return rows, columns
