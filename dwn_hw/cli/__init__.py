"""The command line: a thin skin over the Python API, one file a group of commands."""

from __future__ import annotations
