"""The name of Amaranth's values in annotations: the library ships no types."""

from __future__ import annotations

from typing import Any, TypeAlias

#: A signal, a port, a constant, or an expression of these.
Hdl: TypeAlias = Any
