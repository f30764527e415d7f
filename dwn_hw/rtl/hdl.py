"""Names the type of Amaranth's values for annotations: the library ships no types."""

from __future__ import annotations

from typing import Any, TypeAlias

#: An Amaranth value: a signal, a port, a constant, or an expression of these.
Hdl: TypeAlias = Any
