#!/usr/bin/env python3
"""A compiler launcher for Verilator's makefiles (``OBJCACHE``): its run-time library is compiled once a session.

Each simulation links the same four or five files of Verilator's own, which take most of a small build. Nothing else is
kept: what is made of a design, and all that reads a header of it, is compiled every time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: The folder of the kept objects, in the environment of a test session.
FOLDER = "DWN_HW_TEST_OBJECTS"


def main(command: list[str]) -> int:
    """Run a compiler's command line, or put the object there that the same one made before; the exit status."""
    source = Path(command[-1])
    runtime = source.is_absolute() and source.parent.name == "include" and source.name.startswith("verilated")
    if FOLDER not in os.environ or not runtime or "-o" not in command:
        return subprocess.call(command)
    place = command.index("-o") + 1
    made = Path(command[place])
    same = [*command[:place], *command[place + 1 :], str(source.stat().st_mtime_ns)]
    kept = Path(os.environ[FOLDER]) / f"{hashlib.sha256(repr(same).encode()).hexdigest()}.o"
    if not kept.is_file():
        status = subprocess.call(command)
        if status:
            return status
        # Whole or not at all: two workers may make the same at once.
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as new:
            new.write(made.read_bytes())
        Path(new.name).replace(kept)
        return 0
    shutil.copyfile(kept, made)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
