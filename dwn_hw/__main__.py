"""``python -m dwn_hw`` is ``dwn-hw``."""

from dwn_hw.cli import main

main()
