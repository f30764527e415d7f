"""How long work says what it is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: Told what is being done, in a few words.
Progress: TypeAlias = Callable[[str], None]
