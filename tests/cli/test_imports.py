"""What a command imports: no torch where none is needed, and no tool that only another command needs.

Asked of a child process, since a test session has imported everything.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

#: Runs a command line and says which heavy modules were imported, whatever the status.
SCRIPT = """
import json, sys
from click.testing import CliRunner
from dwn_hw.cli import main
result = CliRunner().invoke(main.main, sys.argv[1:])
heavy = ("torch", "amaranth", "cocotb_tools", "rich", "numpy", "sklearn", "jinja2", "vl_convert", "pyarrow")
print(json.dumps([result.exit_code, [name for name in heavy if name in sys.modules]]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_export):
    place = tmp_path_factory.mktemp("imports")
    described = json.loads((small_export(place / "out") / "interface.json").read_text())
    np.savez(place / "x.npz", x=np.zeros((3, len(described["input"]["features"])), np.float32))
    return place


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (["--help"], set()),
        (["verify", "--help"], set()),
        (["verify", "out", "--simulator", "icarus", "--vectors", "5"], {"numpy", "rich"}),
        (["predict", "out", "x.npz"], {"numpy", "rich"}),
        (["boards", "out"], {"numpy", "rich", "amaranth", "jinja2"}),  # which comes with Amaranth
    ],
)
def test_a_command_imports_what_it_needs(folder, command, allowed):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    status, imported = json.loads(done.stdout)
    assert status == 0, done.stderr
    assert set(imported) <= allowed
