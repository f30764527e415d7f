"""From an export to a board: synthesis, place and route, bitstreams, programming, and the serial line."""

from __future__ import annotations
