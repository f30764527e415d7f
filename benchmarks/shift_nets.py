"""The shift networks that ``deepshift.py`` trains, as classes for ``--arch benchmarks/shift_nets.py:CLASS``.

Inputs are MNIST's images as (1, 28, 28), normalised: ``(x/255 - 0.1307)/0.3081``.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from dwn_hw.nn import Conv2dShift, Conv2dShiftQ, LinearShift, LinearShiftQ


class FcPs(nn.Module):
    """784-512-512-10, shift and sign as parameters: DeepShift's fully connected MNIST net."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = LinearShift(784, 512, floored=True)
        self.fc2 = LinearShift(512, 512, floored=True)
        self.fc3 = LinearShift(512, 10, floored=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log-probabilities."""
        x = x.view(x.size(0), -1)
        x = functional.dropout(functional.relu(self.fc1(x)), 0.2, training=self.training)
        x = functional.dropout(functional.relu(self.fc2(x)), 0.2, training=self.training)
        return functional.log_softmax(self.fc3(x), dim=1)


class ConvQ(nn.Module):
    """DeepShift's convolutional MNIST net, weights rounded in the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv2dShiftQ(1, 20, 5)
        self.conv2 = Conv2dShiftQ(20, 50, 5)
        self.fc1 = LinearShiftQ(800, 500)
        self.fc2 = LinearShiftQ(500, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log-probabilities."""
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(x.view(-1, 800)))
        return functional.log_softmax(self.fc2(x), dim=1)


class Course(nn.Module):
    """The course notebook's network: 3×3 convolutions of 32 and 64 channels, 9216-128-10."""

    def __init__(self, conv: type[nn.Module] = Conv2dShift, linear: type[nn.Module] = LinearShift) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(1, 32, 3), conv(32, 64, 3)
        self.fc1, self.fc2 = linear(9216, 128), linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log-probabilities."""
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        x = functional.dropout(functional.max_pool2d(x, 2), 0.25, training=self.training)
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        return functional.log_softmax(self.fc2(functional.dropout(x, 0.5, training=self.training)), dim=1)


def course_float() -> nn.Module:
    """The same with ordinary weights."""
    return Course(nn.Conv2d, nn.Linear)


def course_q() -> nn.Module:
    """The same with weights rounded in the forward pass."""
    return Course(Conv2dShiftQ, LinearShiftQ)
