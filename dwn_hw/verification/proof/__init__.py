"""Formal proof that an export's Verilog, and every change of a network, means the same for all inputs."""

from __future__ import annotations

from dwn_hw.verification.proof.claims import prove

__all__ = ["prove"]
