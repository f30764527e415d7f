"""The version of dwn-hw."""

from __future__ import annotations

__version__ = "0.1.0"
