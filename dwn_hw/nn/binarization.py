"""Thermometers, which turn real features into bits: bit ``b`` of a feature is ``x > thresholds[b]``, strictly.

``fit`` places the thresholds by a rule and ``binarize`` applies them. The three classes differ only in the
rule. A thermometer is also a layer: ``thresholds`` is a buffer, ``forward`` is ``binarize``; put ``nn.Flatten()``
behind it. A state_dict that holds thresholds loads into a thermometer that was never fitted.

Shapes, for samples ``x`` of shape (samples, *features): thresholds (*features, num_bits); with
``feature_wise=False`` one set for all features, (num_bits,) or (1, num_bits). They keep the dtype that the rule
gives on ``x`` (float64 data, float64 thresholds), since the comparison is made in it.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy.typing as npt
import torch
from torch import nn

from dwn_hw.nn._checks import boolean, refuse, whole_number


class Thermometer(nn.Module):
    """Thresholds that cut lowest..highest of the data into ``num_bits + 1`` equal pieces."""

    thresholds: torch.Tensor | None

    def __init__(self, num_bits: int = 1, feature_wise: bool = True) -> None:
        super().__init__()
        self.num_bits = whole_number("num_bits of the thermometer", num_bits)
        self.feature_wise = boolean("feature_wise of the thermometer", feature_wise)
        self.register_buffer("thresholds", None)

    def get_thresholds(self, x: torch.Tensor) -> torch.Tensor:
        """The thresholds for the samples ``x``, by the rule of this class."""
        low = x.amin(dim=0) if self.feature_wise else x.min()
        high = x.amax(dim=0) if self.feature_wise else x.max()
        step = (high - low) / (self.num_bits + 1)
        return low.unsqueeze(-1) + self._ranks(x).unsqueeze(0) * step.unsqueeze(-1)

    def fit(self, x: torch.Tensor | npt.ArrayLike) -> Self:
        """Place the thresholds for samples ``x`` (samples, *features), a tensor or anything numpy takes."""
        x = _as_tensor(x).detach()
        _check_samples(x, self.smallest_sample)
        self.thresholds = self.get_thresholds(x)
        return self

    def binarize(self, x: torch.Tensor | npt.ArrayLike) -> torch.Tensor:
        """The bits (*x.shape, num_bits) as float32: 1.0 where ``x`` is strictly above the threshold."""
        if self.thresholds is None:
            name = type(self).__name__
            raise refuse(name, "fitted before it is used", "no thresholds yet", f"Call {name}(…).fit(x_train) first.")
        x = _as_tensor(x, self.thresholds.device)
        _check_features(x, tuple(self.thresholds.shape[:-1]))
        return (x.unsqueeze(-1) > self.thresholds).to(torch.float32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what :meth:`binarize` gives for ``x``."""
        return self.binarize(x)

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        state = "not fitted" if self.thresholds is None else f"thresholds {tuple(self.thresholds.shape)}"
        return f"{self.num_bits}, feature_wise={self.feature_wise}, {state}"

    smallest_sample = 1

    def _ranks(self, x: torch.Tensor) -> torch.Tensor:
        return torch.arange(1, self.num_bits + 1, device=x.device)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        saved = state_dict.get(f"{prefix}thresholds")
        if saved is not None and self.thresholds is None:
            # The shape is known only now. A wrong number of bits is left for torch to report, by name and size.
            self.thresholds = saved.new_empty((*saved.shape[:-1], self.num_bits))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class GaussianThermometer(Thermometer):
    """Thresholds at equal steps of probability of a normal law with the data's mean and standard deviation.

    The deviation is the unbiased one (divided by samples − 1), so at least two samples are needed.
    """

    smallest_sample = 2

    def get_thresholds(self, x: torch.Tensor) -> torch.Tensor:
        """The thresholds mean + z·deviation, with z the normal quantiles of 1/(num_bits + 1), 2/(num_bits + 1), …"""
        x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        mean = x.mean(dim=0) if self.feature_wise else x.mean()
        deviation = x.std(dim=0) if self.feature_wise else x.std()
        z = torch.erfinv(2 * (self._ranks(x) / (self.num_bits + 1)) - 1) * math.sqrt(2)
        return z * deviation.unsqueeze(-1) + mean.unsqueeze(-1)


class DistributiveThermometer(Thermometer):
    """Thresholds at equal steps of rank: values of the data itself, at ranks ⌊samples·i / (num_bits + 1)⌋.

    Equal values in the data give equal thresholds, so duplicates are normal.
    """

    def get_thresholds(self, x: torch.Tensor) -> torch.Tensor:
        """The sorted data at those ranks."""
        # A row a feature, all of it side by side in memory: sorted so in a fifth of the time.
        rows = x.reshape(len(x), -1).t() if self.feature_wise else x.reshape(1, -1)
        ordered = rows.contiguous().sort(dim=1).values
        # Truncated as a floating-point quotient, as upstream does it: the rank, and so the threshold, agrees.
        ranks = [int(ordered.shape[1] * i / (self.num_bits + 1)) for i in range(1, self.num_bits + 1)]
        thresholds = ordered[:, torch.tensor(ranks, device=x.device)]
        return thresholds.reshape(*(x.shape[1:] if self.feature_wise else ()), self.num_bits).contiguous()


def _as_tensor(x: torch.Tensor | npt.ArrayLike, device: torch.device | None = None) -> torch.Tensor:
    if not isinstance(x, torch.Tensor):
        try:
            x = torch.tensor(x, device=device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise refuse(
                "x", "an array of numbers", type(x).__name__, f"Give a tensor or an array ({error})."
            ) from None
    return x.to(torch.get_default_dtype()) if x.dtype == torch.bool else x


def _check_samples(x: torch.Tensor, smallest: int) -> None:
    shape = f"shape {tuple(x.shape)}"
    if x.ndim == 0 or x.numel() == 0 or len(x) < smallest:
        rule = f"at least {smallest} {'sample' if smallest == 1 else 'samples'} of shape (samples, features…)"
        raise refuse("x to fit", rule, shape, "Give the training set.")
    if x.is_complex():
        raise refuse("x to fit", "real numbers", str(x.dtype), "Give the real and imaginary parts as features.")
    bad = int((~torch.isfinite(x)).sum())
    if bad:
        raise refuse("x to fit", "finite numbers only", f"{bad} NaN or infinite of {x.numel()}", "Clean or drop them.")


def _check_features(x: torch.Tensor, features: tuple[int, ...]) -> None:
    if not any(size != 1 for size in features) or tuple(x.shape[max(x.ndim - len(features), 0) :]) == features:
        return
    raise refuse(
        "x to binarize",
        f"of shape (…, {', '.join(map(str, features))}), the features that were fitted",
        f"shape {tuple(x.shape)}",
        "Give the same features in the same shape.",
    )
