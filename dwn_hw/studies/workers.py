"""What works on a study: this process, processes beside it, or those of a cluster; each takes a trial, and then the next.

Processes share nothing but the folder of the study, so how many there are, and on which machines, makes no difference. One that
ends before its trial is over loses the time since the last epoch, or since the last step that was written.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from dwn_hw import toolchain
from dwn_hw._progress import Progress, silent
from dwn_hw.errors import DwnHwError, ToolError
from dwn_hw.studies import one_trial, study_folder
from dwn_hw.studies.job import Job
from dwn_hw.studies.journal import MOST_ATTEMPTS, Claim, Journal
from dwn_hw.studies.study_folder import Study

#: The most processes that are started again, beside each that was asked for.
_MOST_RESTARTS = 20

#: The longest that a process works, in seconds: what the operating system can wait for in one call is 24 days.
_LONGEST = 20 * 86400.0


def work(job: Job, study: Study, progress: Progress, told: Callable[[], None] = lambda: None) -> None:
    """Take trials until there are none, or the time is over; ``told`` is called after each."""
    journal = Journal(study.folder, study.space, study.seed)
    while not job.is_over and _take(job, study, journal, progress):
        told()


def _take(job: Job, study: Study, journal: Journal, progress: Progress) -> bool:
    """Do a trial; whether there was one."""
    with journal.claim(job.trials) as claim:
        if claim is not None:
            _do(study, journal, claim, progress)
        return claim is not None


def _do(study: Study, journal: Journal, claim: Claim, progress: Progress) -> None:
    """What came of a trial, written before it is told: who takes it up in between finds it."""
    path = study.folder / "trials" / f"{claim.number:04}.json"
    if not path.is_file():
        record: Any = {"number": claim.number, "point": claim.point, "attempts": claim.attempt}
        try:
            if claim.attempt > MOST_ATTEMPTS:
                raise ToolError(f"{MOST_ATTEMPTS} processes that worked on it ended before it was over")
            record |= {"state": "complete", "result": one_trial.run(study, claim.point, progress)}
        except DwnHwError as error:
            if toolchain.is_stopping():
                raise
            record |= {"state": "failed", "kind": type(error).__name__, "reason": str(error)}
        study_folder.write_json(path, record)
    record = study_folder.read_json(path)
    if record["state"] == "failed":
        journal.tell(claim, None)
    else:
        found = record["result"]
        journal.tell(claim, (found["right"] / found["samples"], float(found["luts"])))


def one(job: Job) -> bool:
    """Do a trial of a study, if there is one to do; whether there was. What a process of a cluster is asked for."""
    study = _known_study(job)
    return not job.is_over and _take(job, study, Journal(study.folder, study.space, study.seed), silent)


@functools.cache  # a process of a cluster does many trials of a study
def _known_study(job: Job) -> Study:
    return job.study()


def beside(job: Job, count: int) -> Callable[[], None]:
    """A function that works with ``count`` processes of this machine, and starts another for one that was killed."""

    def one_process() -> None:
        script = "from dwn_hw.studies import workers; workers.main()"
        threads = str(max(1, (os.cpu_count() or 1) // count))
        env = {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
        for restarts in range(_MOST_RESTARTS + 1):
            try:
                command = [sys.executable, "-c", script]
                toolchain.run(command, timeout=_LONGEST, name="a worker", env=env, stdin=json.dumps(asdict(job)))
                return
            except ToolError:
                if restarts == _MOST_RESTARTS or toolchain.is_stopping():
                    raise

    def all_of_them() -> None:
        for _ in toolchain.together([one_process] * count, count):
            pass

    return all_of_them


def main() -> None:
    """Work on the study that standard input names, as JSON of a :class:`Job`."""
    job = Job(**json.load(sys.stdin))
    work(job, job.study(), silent)
