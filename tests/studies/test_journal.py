"""Trials of a study that several processes share: none is lost, none is done twice, whatever ends a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from groups import swept

pytest.importorskip("optuna")

from dwn_hw.studies import space
from dwn_hw.studies.journal import Journal

ROOT = Path(__file__).resolve().parents[2]

SPACE = space.parse(
    {"train": {"luts": [100, 200, [300, 100]], "bits": {"from": 4, "to": 32}, "lr": {"from": 0.1, "to": 1}}}
)
SMALL = space.parse({"train": {"luts": [100, 200], "n": [4, 6]}})

#: A process that takes trials of a study, says which, waits for a line before it tells what came of each, and goes on.
TAKING = """
import sys
from pathlib import Path
from dwn_hw.studies import space
from dwn_hw.studies.journal import Journal
shared = Journal(Path(sys.argv[1]), space.parse(eval(sys.argv[2]), "dwn"), 0)
while True:
    with shared.claim(int(sys.argv[3])) as claim:
        if claim is None:
            break
        print(claim.number, claim.attempt, sorted(claim.point.items()), flush=True)
        if sys.argv[4] == "wait":
            sys.stdin.readline()
        shared.tell(claim, (0.5, 100.0))
"""


@pytest.fixture
def process(tmp_path):
    """``process(trials)``: one that works on the study in ``tmp_path``."""
    started = []

    def start(trials, wait="wait", own=SPACE):
        words = [sys.executable, "-c", TAKING, str(tmp_path), repr(own.plain()), str(trials), wait]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        one = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        started.append(one)
        return one

    yield start
    for one in started:
        one.kill()
        one.communicate()


def drain(shared, trials):
    """The trials that are left, each told."""
    found = []
    while True:
        with shared.claim(trials) as claim:
            if claim is None:
                return found
            shared.tell(claim, (0.5, 100.0 + claim.number))
            found.append(claim)


def attempts(folder):
    return {int(path.stem): len(path.read_text().splitlines()) for path in (folder / "trials").glob("*.attempts")}


def test_a_trial_whose_process_was_killed_is_taken_up_once_with_the_same_settings(tmp_path, process):
    killed = process(4)
    line = killed.stdout.readline()
    shared = Journal(tmp_path, SPACE, 0)
    with shared.claim(4) as other:  # the killed one's is held, so this is another
        assert line.startswith("0 1 ")
        assert (other.number, other.attempt) == (1, 1)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        with shared.claim(4) as again:
            assert f"{again.number} 1 {sorted(again.point.items())}\n" == line
            assert again.attempt == 2
            shared.tell(again, (0.5, 100.0))
        shared.tell(other, (0.6, 90.0))
    rest = drain(shared, 4)
    assert [claim.number for claim in rest] == [2, 3]
    assert attempts(tmp_path) == {0: 2, 1: 1, 2: 1, 3: 1}
    assert shared.counts() == {"complete": 4, "fail": 0, "running": 0, "waiting": 0}


def test_a_line_that_was_half_written_is_taken_away(tmp_path):
    shared = Journal(tmp_path, SPACE, 0)
    first = drain(shared, 2)
    with (tmp_path / "journal.log").open("a") as file:
        file.write('{"op_code":4,"worker_id"')
    again = Journal(tmp_path, SPACE, 0)
    assert again.counts()["complete"] == len(first) == 2
    assert [claim.number for claim in drain(again, 3)] == [2]
    for line in (tmp_path / "journal.log").read_text().splitlines():
        json.loads(line)


def test_the_same_is_tried_by_a_study_of_the_same_seed(tmp_path):
    points = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        points.append([claim.point for claim in drain(Journal(tmp_path / name, SPACE, seed), 14)])
    assert points[0] == points[1]
    assert points[0] != points[2]


def test_a_small_space_is_tried_in_whole_and_no_point_twice(tmp_path):
    shared = Journal(tmp_path, SMALL, 0)
    first = {"luts": (200,), "n": 6}
    shared.plan(10, first)
    found = [claim.point for claim in drain(shared, 10)]
    assert found[0] == first
    assert len(found) == 4
    assert all(point in found for point in SMALL.points())
    assert drain(shared, 10) == []


def test_points_that_the_sampler_repeats_count_as_none(tmp_path):
    shared = Journal(tmp_path, SMALL, 0)
    found = [claim.point for claim in drain(shared, 4)]
    assert all(point in found for point in SMALL.points())
    assert len(found) == 4
    assert shared.counts()["complete"] == 4


def test_a_failed_trial_counts_and_is_not_tried_again(tmp_path):
    shared = Journal(tmp_path, SPACE, 0)
    with shared.claim(2) as claim:
        shared.tell(claim, None)
    assert [each.number for each in drain(shared, 2)] == [1]
    assert shared.counts() == {"complete": 1, "fail": 1, "running": 0, "waiting": 0}


@pytest.mark.parametrize("seed", swept(0, 1, 2))
def test_processes_that_are_killed_at_any_time_lose_and_double_nothing(tmp_path, process, seed):
    import random

    rng = random.Random(seed)
    lines, kills = [], 0
    running = [process(40, "go on") for _ in range(3)]
    while running:
        one = running.pop(0)
        try:
            out, _ = one.communicate(timeout=rng.uniform(0.6, 1.6) if kills < 8 else 60)
        except subprocess.TimeoutExpired:
            one.kill()
            out, _ = one.communicate()
            kills += 1
            running.append(process(40, "go on"))
        lines += out.splitlines()
    shared = Journal(tmp_path, SPACE, 0)
    rest = drain(shared, 40)
    told = [int(line.split()[0]) for line in lines] + [claim.number for claim in rest]
    assert sorted(set(told)) == list(range(40))
    assert shared.counts()["complete"] == 40
    assert sum(attempts(tmp_path).values()) <= 40 + kills
    points = {}
    for line in lines:
        number, _, point = line.split(" ", 2)
        assert points.setdefault(number, point) == point
