"""Pickles, which is what ``torch.save`` writes, read without executing anything in them and without torch."""

from __future__ import annotations
