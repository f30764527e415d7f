"""Numbers or vectors replaced by the nearest of a few, which follow them."""

from __future__ import annotations

import torch
from torch import nn

from dwn_hw.nn._checks import real_number, refuse, whole_number
from dwn_hw.nn.dab.approximators import ElementwiseApproximator
from dwn_hw.nn.dab.bridge import DAB


class KMeans(DAB):
    """Each number, or with ``width`` above 1 each vector along the last axis, as the nearest of ``k`` centroids.

    Nearest is the arg-min of ``Σ(x − centroid)²``, the first of equals; out comes the centroid: any shape → the same.

    ``centroids`` (k, width) is a buffer and no parameter: in training each centroid moves by ``momentum`` to the mean of what a
    batch has in its cell, Lloyd's step for batches (D. Sculley, "Web-Scale K-Means Clustering", WWW 2010, there with a rate that
    falls). An empty cell stays where it is. Before the first batch with ``k`` different vectors they stand evenly from −1 to 1;
    there they are set to ``k`` of these, evenly by rank.
    """

    centroids: torch.Tensor
    started: torch.Tensor

    def __init__(
        self,
        k: int,
        width: int = 1,
        momentum: float = 0.1,
        approximator: nn.Module | None = None,
        gamma: float | None = None,
    ) -> None:
        self_k, wide = whole_number("KMeans k", k, 2), whole_number("KMeans width", width)
        super().__init__(ElementwiseApproximator(width=wide) if approximator is None else approximator, gamma)
        self.k, self.width = self_k, wide
        self.momentum = real_number("KMeans momentum", momentum, positive=True)
        if self.momentum > 1:
            raise refuse(
                "KMeans momentum", "above 0 and at most 1", f"{self.momentum:g}", "Give 1 to forget all before."
            )
        start = torch.linspace(-1, 1, self.k).unsqueeze(1).expand(self.k, self.width)
        self.register_buffer("centroids", start.clone())
        self.register_buffer("started", torch.tensor(False))

    def check(self) -> None:
        """Raise OptionError where a centroid can mean nothing: one that is not finite, or equal to another."""
        if not bool(self.centroids.isfinite().all()):
            raise refuse(
                "KMeans centroids", "finite numbers", "NaN or infinity", "Train again, at a lower learning rate."
            )
        if len({tuple(centroid) for centroid in self.centroids.tolist()}) < self.k:
            raise refuse("KMeans centroids", "no two equal", f"{self.centroids.tolist()}", "Take a smaller k.")

    def hard(self, x: torch.Tensor) -> torch.Tensor:
        """The nearest centroid of each number or vector."""
        vectors = self._vectors(x)
        return self.centroids[self._cells(vectors)].reshape(x.shape)

    def training_value(self, x: torch.Tensor) -> torch.Tensor:
        """The same, after the centroids' step."""
        vectors = self._vectors(x)
        if not self.started:
            self._start(vectors)
        cells = self._cells(vectors)
        count = torch.bincount(cells, minlength=self.k).unsqueeze(1)
        sums = torch.zeros_like(self.centroids).index_add_(0, cells, vectors)
        step = self.momentum * (sums / count.clamp(min=1) - self.centroids)
        self.centroids += step * (count > 0)
        return self.hard(x)

    def _start(self, vectors: torch.Tensor) -> None:
        different = vectors.unique(dim=0)  # type: ignore[no-untyped-call]
        if len(different) >= self.k:
            ranks = (torch.arange(self.k, device=vectors.device) + 0.5) / self.k * len(different)
            self.centroids.copy_(different[ranks.long()])
            self.started.fill_(True)

    def _vectors(self, x: torch.Tensor) -> torch.Tensor:
        if self.width > 1 and x.shape[-1] != self.width:
            rule = f"with a last axis of {self.width}"
            raise refuse(
                "input of KMeans", rule, f"shape {tuple(x.shape)}", "Change width, or reshape what comes before."
            )
        return x.reshape(-1, self.width)

    def _cells(self, vectors: torch.Tensor) -> torch.Tensor:
        """The index of each vector's centroid."""
        best = torch.full_like(vectors[:, 0], torch.inf)
        cells = torch.zeros_like(best, dtype=torch.int64)
        for index, centroid in enumerate(self.centroids):  # one by one: k distances of a layer at a time would be large
            distance = ((vectors - centroid) ** 2).sum(1)
            nearer = distance < best
            best, cells = torch.where(nearer, distance, best), torch.where(nearer, index, cells)
        return cells

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"k={self.k}, width={self.width}, momentum={self.momentum:g}, {super().extra_repr()}"
