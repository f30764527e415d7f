"""An export directory, which stands by itself: planned, written, read back, described and run in software."""

from __future__ import annotations
