"""Cases of a parametrised test that stand in the group ``sweeps``: others of the same test run with all tests."""

from __future__ import annotations

from typing import Any

import pytest


def swept(*cases: Any) -> list[Any]:
    """Each case, a tuple where there are several parameters, run by ``pytest -m sweeps`` only."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.sweeps) for case in cases]
