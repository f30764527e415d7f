"""Finds the narrowest input port that keeps a DWN's predictions, on samples of its user."""

from __future__ import annotations
