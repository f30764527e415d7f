"""The kinds of hardware that a network can become, as one closed union.

All of them say, under the same names, what they compute (``network``), their ``shell``, ``target``, ``name`` and
``with_scores``, their timing (``latency``, ``interval``), how codes come in (``word``, ``transfers``), what their interface
says of them alone (``settings()``), their ``modules()``, and themselves ``lowered()`` for a target. To add a kind: write its
class and its settings (:mod:`dwn_hw.hardware.interface`), and put both into their unions; mypy then names every ``match``
that has to learn it.
"""

from __future__ import annotations

from typing import TypeAlias

from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.folded import FoldedDesign

Design: TypeAlias = ParallelDesign | FoldedDesign
