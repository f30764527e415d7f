"""The narrowest input port that keeps a DWN's predictions, found on samples of its user."""

from __future__ import annotations
