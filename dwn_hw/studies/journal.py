"""The trials of a study, in Optuna's journal: which settings are tried next, by any of several processes and machines.

The journal is a file that is only added to. Optuna's own lock on it outlives a process that was killed for half a minute; a
lock of the operating system (``flock``) ends with its process. The same kind of lock is held on a file of each trial for as long
as it is worked on. So a trial that counts as running, and whose lock is free, lost its worker: the next worker takes it up,
with the settings that it had.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import random
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from dwn_hw.studies.space import Between, Dimension, Space, Value

#: The workers that a trial may lose; after that it failed.
MOST_ATTEMPTS = 3

#: The most points of a space that is tried in whole, where that many trials are asked for.
_MOST_POINTS = 2000

_NAME = "designs"


class _Lock(JournalFileOpenLock):
    """A lock of the operating system on the journal. What a writer that was killed left of a line is taken away first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._held = self._path.open("a+b")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        _mend(self._held)
        return True

    def release(self) -> None:
        """Let the next one in."""
        if self._held is not None:
            self._held.close()


def _mend(file: IO[bytes]) -> None:
    """Cut a file of lines after its last whole line."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that this process works on: its ``number``, its ``point`` in the space, and how many workers began with it."""

    number: int
    point: dict[str, Value]
    attempt: int
    trial: Any


class Journal:
    """The trials of a study of a ``space`` in a folder; ``seed``: of what is tried."""

    def __init__(self, folder: Path, space: Space, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.space, self.seed = folder, space, seed
        path = folder / "journal.log"
        (folder / "trials").mkdir(exist_ok=True)
        with self._alone():
            storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_Lock(path)))
            self._study = optuna.create_study(
                storage=storage, study_name=_NAME, directions=["maximize", "minimize"], load_if_exists=True
            )

    def plan(self, trials: int | None, first: dict[str, Value]) -> None:
        """Have the point ``first`` tried before others; and every point, where no more than ``trials`` are there."""
        with self._alone():
            known = [trial.system_attrs.get("fixed_params", trial.params) for trial in self._study.get_trials()]
            points = [] if known else [first]
            if self.space.size <= min(trials or _MOST_POINTS, _MOST_POINTS):
                others = list(self.space.points())
                random.Random(self.seed).shuffle(others)
                points += others
            for point in points:
                params = _params(point)
                if params not in known:
                    known.append(params)
                    self._study.enqueue_trial(params)

    @contextlib.contextmanager
    def claim(self, trials: int | None) -> Iterator[Claim | None]:
        """A trial to work on, held until the context is left: one that lost its worker, or else a new one.

        None where ``trials`` were begun, or every point of the space was.
        """
        with contextlib.ExitStack() as held:
            with self._alone():
                claim = self._orphan(held) or self._new(held, min(trials or self.space.size, self.space.size))
            yield claim

    def tell(self, claim: Claim, values: tuple[float, float] | None) -> None:
        """Say what came of a trial: accuracy and LUTs; or None: it failed."""
        self._study.tell(claim.trial, values, state=TrialState.FAIL if values is None else None)

    def counts(self) -> dict[str, int]:
        """How many trials are in each state: ``complete``, ``fail``, ``running``, ``waiting``."""
        states = [trial.state for trial in self._study.get_trials(deepcopy=False)]
        return {state.name.lower(): states.count(state) for state in TrialState if state is not TrialState.PRUNED}

    def _orphan(self, held: contextlib.ExitStack) -> Claim | None:
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._hold(frozen.number, held):
                return self._claimed(optuna.Trial(self._study, frozen._trial_id))
        return None

    def _new(self, held: contextlib.ExitStack, most: float) -> Claim | None:
        asked = [t for t in self._study.get_trials(deepcopy=False) if t.state is not TrialState.WAITING]
        begun = [t.params for t in asked if t.state is not TrialState.PRUNED]
        if len(begun) >= most:
            return None
        # The sampler's seed follows from the number of the trial: one worker alone always tries the same.
        seed = _seed(self.seed, len(asked))
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        trial = self._study.ask()
        point = self._point(trial)
        if self.space.size < math.inf and _params(point) in begun:
            # It was tried, and points are left that were not: one of those takes its place, and it counts as none.
            self._study.tell(trial, state=TrialState.PRUNED)
            left = [params for params in map(_params, self.space.points()) if params not in begun]
            self._study.enqueue_trial(random.Random(seed).choice(left))
            trial = self._study.ask()
        if not self._hold(trial.number, held):
            raise RuntimeError(f"trial {trial.number} is new, and somebody holds it")
        return self._claimed(trial)

    def _point(self, trial: optuna.Trial) -> dict[str, Value]:
        """The point of a trial, with a value for each dimension; what a killed worker left open is chosen now."""
        return {name: _suggested(trial, name, own) for name, own in self.space.dimensions.items()}

    def _claimed(self, trial: optuna.Trial) -> Claim:
        """A trial that is held, with its point, after a note of who begins with it."""
        point = self._point(trial)
        path = self.folder / "trials" / f"{trial.number:04}.attempts"
        who = {"host": socket.gethostname(), "process": os.getpid(), "time": round(time.time(), 3)}
        with path.open("a+b") as file:
            _mend(file)
            file.write(json.dumps(who).encode() + b"\n")
        return Claim(trial.number, point, path.read_bytes().count(b"\n"), trial)

    def _hold(self, number: int, held: contextlib.ExitStack) -> bool:
        """Hold the lock of a trial until the stack is left; False where somebody else does."""
        file = (self.folder / "trials" / f"{number:04}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        held.enter_context(file)
        return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time take a trial: between a trial's beginning and its lock nobody else looks."""
        with (self.folder / "claim.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _seed(*parts: int) -> int:
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16)


def _params(point: Mapping[str, Value]) -> dict[str, bool | int | float | str]:
    """A point as Optuna knows it."""
    return {name: _param(value) for name, value in point.items()}


def _param(value: Value) -> bool | int | float | str:
    """What Optuna knows a value as: it takes no tuples."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _suggested(trial: optuna.Trial, name: str, own: Dimension) -> Value:
    """The value of a trial, which Optuna chooses if there is none yet."""
    distribution: BaseDistribution
    if isinstance(own, Between):
        if isinstance(own.low, int) and isinstance(own.high, int):
            distribution = IntDistribution(own.low, own.high, log=own.log)
        else:
            distribution = FloatDistribution(own.low, own.high, log=own.log)
        return trial._suggest(name, distribution)  # type: ignore[no-any-return]
    by_param = {_param(value): value for value in own.values}
    return by_param[trial._suggest(name, CategoricalDistribution(tuple(by_param)))]
