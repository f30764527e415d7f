"""The two convolutions among the shift layers (:mod:`dwn_hw.nn.shift_layers`)."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from torch.nn.modules.utils import _pair

from dwn_hw.nn._checks import refuse, whole_number
from dwn_hw.nn.shift_layers import UNBOUNDED_START, PsWeights, QWeights, ShiftLayer


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
        x, padding = self._rounded_input(x), self.padding
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


class Conv2dShift(_Conv2d, PsWeights):
    """A convolution by ``shift`` and ``sign`` (out_channels, in_channels / groups, rows, columns)."""

    def _start(self) -> tuple[float, float]:
        return UNBOUNDED_START

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


class Conv2dShiftQ(_Conv2d, QWeights):
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
