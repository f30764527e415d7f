"""``python -m dwn_hw`` is ``dwn-hw``."""

from __future__ import annotations

from dwn_hw.cli.main import main

main()
