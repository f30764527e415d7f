"""What stands around a core: how codes come in and results go out."""

from __future__ import annotations
