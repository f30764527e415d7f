"""Programs that are run: heard while they speak, ended in time, and all ended with the command that runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dwn_hw
from dwn_hw import toolchain
from dwn_hw.errors import ToolError, ToolTimeout


def test_what_a_program_says_is_heard_when_it_says_it_and_kept_unless_it_is_progress():
    script = "import sys; print('@ 1 2'); print(input()); sys.stdout.flush(); sys.stderr.write('@ no\\n'); input()"
    heard, command = [], [sys.executable, "-c", script]
    said = toolchain.run(
        command, timeout=20, stdin="kept\nend\n", heard=lambda line: heard.append(line) or line.startswith("@")
    )
    assert said == "kept\n"
    assert sorted(heard) == ["@ 1 2", "@ no", "kept"]


def test_a_program_that_is_heard_is_ended_in_time_and_fails_with_what_it_said():
    begun = time.monotonic()
    with pytest.raises(ToolTimeout):
        toolchain.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.3, heard=lambda line: False)
    with pytest.raises(ToolError, match=r"the reason$"):
        toolchain.run([sys.executable, "-c", "exit('the reason')"], timeout=20, heard=lambda line: False)
    command = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"]
    with pytest.raises(ZeroDivisionError):
        toolchain.run(command, timeout=20, heard=lambda line: bool(1 / 0))
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_is_ended_ends_what_it_started(tmp_path, number):
    script = (
        "import click; from functools import partial; from dwn_hw import toolchain\n"
        "from dwn_hw.cli import screen\n"
        "@click.command()\n@screen.command\n"
        "def slow(screen):\n"
        "  first = ['sh', '-c', 'sleep 300 & echo $! > pid; wait']\n"
        "  jobs = [partial(toolchain.run, words, timeout=300) for words in (first, ['touch', 'second'])]\n"
        "  list(toolchain.together(jobs, 1))\n"
        "slow()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(dwn_hw.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=env, stderr=subprocess.PIPE) as process:
        pid = tmp_path / "pid"
        while process.poll() is None and not (pid.exists() and pid.read_text().strip()):
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(20) == 1
        assert b"Aborted!" in process.stderr.read()
    assert not (tmp_path / "second").exists()
    deadline = time.monotonic() + 10
    while _runs(int(pid.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_program_that_is_being_started_when_all_are_to_end_ends_too(monkeypatch):
    class Ended(subprocess.Popen):
        def __init__(self, *words, **options):
            super().__init__(*words, **options)
            toolchain.stop()

    monkeypatch.setattr(toolchain.processes.subprocess, "Popen", Ended)
    started = time.monotonic()
    try:
        with pytest.raises(ToolError, match="sleep: stopped"):
            toolchain.run(["sleep", "60"], timeout=60)
    finally:
        toolchain.go_on()
    assert time.monotonic() - started < 30


def _runs(process):
    """Whether it is there, and more than what its parent has not yet looked at."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
