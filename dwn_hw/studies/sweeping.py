"""A sweep: a study is begun or gone on with, worked on, and its front shown for as long as that takes."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from dwn_hw import toolchain
from dwn_hw._json import Document
from dwn_hw._progress import Progress, begin, silent, terminal, within
from dwn_hw.errors import OptionError, Problem
from dwn_hw.fpga import boards
from dwn_hw.hardware.families import SYNTHESES
from dwn_hw.studies import default_space, front, study_folder
from dwn_hw.studies import space as spaces
from dwn_hw.studies.front import Found
from dwn_hw.studies.job import Job
from dwn_hw.studies.study_folder import Asked, Study

PathLike: TypeAlias = str | os.PathLike[str]

#: The trials of a study of which neither a number nor a time is said.
TRIALS = 20

#: Seconds between two looks at what others found, and at least between two pages.
_PAUSE, _PAGE = 1.0, 60.0

#: Told of the front as trials end, and of what came of these.
Told: TypeAlias = Callable[[list[Found], list[Document]], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """How many ``trials`` there may be in all, how many ``minutes`` new ones may begin, and who does them.

    ``jobs``: processes of this machine; ``dask``: the address of a scheduler, or ``local``.
    """

    trials: int | None = None
    minutes: float | None = None
    jobs: int = 1
    dask: str | None = None

    def problems(self) -> list[Problem]:
        """What keeps it from being one."""
        least = {"--trials": (self.trials, 1), "--jobs": (self.jobs, 1)}
        found = [
            Problem(name, f"a whole number from {low}", f"{value}", f"Say {low} or more.")
            for name, (value, low) in least.items()
            if value is not None and value < low
        ]
        if self.minutes is not None and not self.minutes > 0:
            found.append(Problem("--minutes", "a time above 0", f"{self.minutes:g}", "Say how many minutes."))
        return found


def sweep(
    table: PathLike,
    study: PathLike,
    *,
    space: Mapping[str, Any] | PathLike | None = None,
    label: str | None = None,
    test: PathLike | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    jobs: int = 1,
    dask: str | None = None,
    synth: str | None = None,
    place: str | None = None,
    progress: Progress | bool = False,
    told: Told = lambda rows, records: None,
    **asked: Any,
) -> dict[str, Any]:
    """Try designs of a space for a table, and find those that none beats in accuracy and LUTs: ``dwn-hw sweep``.

    Each trial is trained on a part of the table, exported, its Verilog compared with its network, and counted; accuracy on a
    second part chooses, a third one is tested on. ``study``: the folder of all that is found, which several processes share;
    ``resume``: go on with what is there. ``space``: a TOML file, or a dictionary of the same form (docs/sweeps.md); else one by
    rule. ``synth``, ``place``: count by yosys for a family, or placed on a board; else by estimate. ``trials``, ``minutes``: the
    budget, 20 trials if neither is said; ``jobs``: processes; ``dask``: a scheduler's address, or ``local``. ``asked``: ``kind``,
    ``categorical``, ``ignore_columns``, ``vectors``, ``seed``. ``told(front, records)`` is called as trials end.
    Returns what was found: ``front``, ``trials`` by state, ``failed``, ``study``. Raises OptionError with all that is wrong.
    """
    budget = Budget(trials, minutes, jobs, dask)
    _refuse(budget.problems(), synth, place)
    require(budget)
    count = ["place", place] if place else ["synth", synth] if synth else None
    wanted = Asked(Path(table), None if test is None else Path(test), label, {"count": count, **said(**asked)})
    given = spaces.read(Path(space)) if isinstance(space, str | os.PathLike) else space
    with terminal.asked(progress) as tell:
        tell("reading the samples")
        opened = open_study(Path(study), wanted, given, resume)
        return run(opened, wanted, budget, tell, told)


def require(budget: Budget) -> None:
    """Raise ToolError for libraries that are not installed."""
    names = ("torch", "optuna", *(["distributed"] if budget.dask is not None else []))
    if absent := [name for name in names if importlib.util.find_spec(name) is None]:
        raise toolchain.missing(*absent)


def _refuse(problems: Sequence[Problem], synth: str | None, place: str | None) -> None:
    found = list(problems)
    if synth and place:
        found.append(Problem("--synth", "not with --place, which counts as well", "both", "Leave one of them out."))
    if synth and synth not in SYNTHESES:
        found.append(Problem("--synth", f"one of {', '.join(SYNTHESES)}", repr(synth), "Choose one of them."))
    if place:
        try:
            boards.routed(place, "--place", "Choose one of them.")
        except OptionError as error:
            found += error.problems
    if found:
        raise OptionError(*found)


def said(
    kind: str | None = None,
    categorical: Sequence[str] = (),
    ignore_columns: Sequence[str] = (),
    vectors: int | None = None,
    seed: int | None = None,
    board: str | None = None,
) -> dict[str, Any]:
    """What of ``study.json`` was asked for; None: not."""
    columns = {"categorical": list(categorical), "ignored": list(ignore_columns)}
    asked = columns if categorical or ignore_columns else None
    return {"kind": kind, "columns": asked, "vectors": vectors, "seed": seed, "board": board}


def open_study(folder: Path, asked: Asked, space: Mapping[str, Any] | None, resume: bool) -> Study:
    """The study in a folder, begun or gone on with."""
    if resume:
        return study_folder.resume(folder, asked, space)
    kind = (asked.said or {}).get("kind")
    given = default_space.of(kind or "dwn", (asked.said or {}).get("board")) if space is None else space
    return study_folder.begin(folder, asked, given)


def run(
    study: Study, asked: Asked, budget: Budget, progress: Progress = silent, told: Told = lambda a, b: None
) -> dict[str, Any]:
    """Work on a study until its budget is spent; what was found."""
    from dwn_hw.studies.journal import Journal

    trials = TRIALS if budget.trials is None and budget.minutes is None else budget.trials
    until = None if budget.minutes is None else time.time() + 60 * budget.minutes
    test = None if asked.test is None else str(asked.test)
    job = Job(str(study.folder), str(asked.table), test, trials, until)
    journal = Journal(study.folder, study.space, study.seed)
    journal.plan(trials, {name: own.values[0] for name, own in study.space.dimensions.items()})
    shown = Shown(study, trials, progress, told)
    shown.look()
    _work(job, study, budget, progress, shown)
    shown.finish()
    return {
        "study": str(study.folder),
        "counted_by": study.said["count"],
        "samples": study.said["counted"],
        "trials": journal.counts(),
        "front": [one.plain() for one in shown.front],
        "failed": [record for record in study.records() if record["state"] == "failed"],
        "written": [str(path) for path in shown.written],
    }


def _work(job: Job, study: Study, budget: Budget, progress: Progress, shown: Shown) -> None:
    """Have it worked on; then wait for trials of other processes, and take up those that lose them."""
    from dwn_hw.studies import workers
    from dwn_hw.studies.journal import Journal

    if budget.dask is not None:
        from dwn_hw.studies import dask_cluster

        _watched(dask_cluster.on(budget.dask, job, budget.jobs), f"working on the cluster {budget.dask}", shown)
    elif budget.jobs > 1:
        _watched(workers.beside(job, budget.jobs), f"working with {budget.jobs} processes", shown)
    journal = Journal(study.folder, study.space, study.seed)
    while True:
        workers.work(job, study, progress, shown.look)
        if job.is_over or not journal.counts()["running"]:
            return
        progress("waiting for trials of other processes")
        time.sleep(_PAUSE)
        shown.look()


def _watched(work: Callable[[], None], text: str, shown: Shown) -> None:
    """Do work in a thread, said as ``text``, and meanwhile look at what it finds."""
    raised: list[BaseException] = []

    def caught() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised again, in the thread that waits
            raised.append(error)

    thread = threading.Thread(target=caught, daemon=True)
    thread.start()
    shown.progress(text)
    while thread.is_alive():
        thread.join(_PAUSE)
        shown.look(text)
    if raised:
        raise raised[0]


@dataclass(slots=True)
class Shown:
    """What is shown of a study while it is worked on: trials done, and the front, as text, as CSV and as a page."""

    study: Study
    trials: int | None
    progress: Progress
    told: Told
    front: list[Found] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    _known: set[Any] = field(default_factory=set)
    _page_at: float = 0.0

    def look(self, phase: str = "") -> None:
        """Look at what was found since the last time, and go on with a ``phase``, which is over where something was said."""
        records = self.study.records()
        new = [record for record in records if record["number"] not in self._known]
        self._known |= {record["number"] for record in new}
        if not new:
            return
        before, self.front = self.front, front.front(front.found(records))
        if self.front != before:
            front.write_csv(self.study, self.front)
        self.told(self.front, new)
        if phase:
            begin(self.progress, phase)
        best = max(self.front, key=lambda one: one.accuracy, default=None)
        far = f"{len(records)} trials" + (f", best {best.accuracy:.1%} at {best.luts:,} LUTs" if best else "")
        within(self.progress, far, len(records), self.trials or 0, aloud=far)
        if self.front != before and time.monotonic() - self._page_at > _PAGE:
            self._page()

    def finish(self) -> None:
        """Write what there is at the end."""
        self.look()
        if self.front:
            self.written = [front.write_csv(self.study, self.front), *self._page()]

    def _page(self) -> list[Path]:
        """Write the page, where the library that draws is installed."""
        self._page_at = time.monotonic()
        with contextlib.suppress(OptionError):  # the library that draws is not installed
            return [front.write_page(self.study, self.front, silent)]
        return []
