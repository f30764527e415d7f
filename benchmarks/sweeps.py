"""Sweeps by two processes, one of which is killed in a trial; what was lost or doubled; the front beside points by hand.

    python benchmarks/sweeps.py letter --data ../shared/data --out /tmp/letter-study [--trials 24] [--dask]
    python benchmarks/sweeps.py mnist --data ../shared/data --out /tmp/mnist-study --samples 6000

``--kills``: how often the second process is killed with SIGKILL, each time while it works on a trial. ``--samples``: of the
training images, as many by class. ``--dask``: on a local cluster instead, and nothing is killed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import dwn_hw
from dwn_hw.ir import proportions
from dwn_hw.nn.trainer import stratified
from dwn_hw.studies import sample_parts, study_folder

#: What is tried, and the sizes by hand, with what ``dwn-hw train`` takes for the rest.
LETTER = {
    "train": {
        "luts": [130, 260, 520, 1040],
        "n": [4, 6],
        "bits": [4, 8, 15],
        "cheap_encoder": [0, 4],
        "prune": [0, 0.2],
    }
}
MNIST = {"train": {"luts": [100, 200, 300], "n": [6, 4], "bits": [1, 2, 3], "cheap_encoder": [0, 4], "prune": [0, 0.2]}}
BY_HAND = {"letter": (130, 260, 520), "mnist": (100, 200, 300)}


def begun(study: Path, pid: int) -> str | None:
    """The trial that a process works on."""
    for path in (study / "trials").glob("*.attempts"):
        last = json.loads(path.read_text().splitlines()[-1])
        if last["process"] == pid and not path.with_suffix(".json").exists():
            return path.stem
    return None


def wait(study: Path, process: subprocess.Popen, seconds: float) -> str | None:
    """The trial that a process has worked on for so long, or None where it ended before."""
    since, seen = time.monotonic(), None
    while process.poll() is None:
        trial = begun(study, process.pid)
        if trial is None or trial != seen:
            since, seen = time.monotonic(), trial
        elif time.monotonic() - since > seconds:
            return trial
        time.sleep(0.1)
    return None


def two(words: list[str], study: Path, kills: int) -> list[str]:
    """Two processes on a study; the second is killed so often and started again. The trials in which it was killed."""
    first = subprocess.Popen([*words, "--quiet"])
    while not (study / "journal.log").exists():
        time.sleep(0.1)
    killed = []
    second = [*words, "--resume", "--quiet"]
    for after in (4.0, 9.0, 2.0)[:kills]:
        process = subprocess.Popen(second)
        trial = wait(study, process, after)
        if trial is not None:
            os.kill(process.pid, signal.SIGKILL)
            killed.append(trial)
        process.wait()
    last = subprocess.Popen(second)
    for process in (first, last):
        assert process.wait() == 0, "a process failed"
    return killed


def count(study: Path, trials: int, killed: list[str]) -> None:
    """What was lost or doubled, by counting files and lines of the journal."""
    records = {path.stem: json.loads(path.read_text()) for path in (study / "trials").glob("*.json")}
    attempts = {path.stem: len(path.read_text().splitlines()) for path in (study / "trials").glob("*.attempts")}
    journal = [json.loads(line) for line in (study / "journal.log").read_text().splitlines()]
    told = [line["trial_id"] for line in journal if line["op_code"] == 6 and line.get("state") in (1, 3)]
    complete = sum(record["state"] == "complete" for record in records.values())
    designs = len(list((study / "designs").glob("*.json")))
    models = len(list((study / "models").glob("*/report.json")))
    print(
        f"trials: {trials} asked, {len(records)} with a result ({complete} verified), {len(told)} told to Optuna, ",
        end="",
    )
    print(f"{len(told) - len(set(told))} of them twice")
    again = {name: n for name, n in attempts.items() if n > 1}
    print(f"killed in trials {killed}; begun more than once: {again}; trainings {models}, designs verified {designs}")
    assert len(records) == len(set(told)) == len(told) == trials
    assert sum(attempts.values()) == trials + len(killed)
    assert sorted(again) == sorted(set(killed))


def by_hand(name: str, study: Path, asked: study_folder.Asked, epochs: int) -> None:
    """The front on the test part beside networks of three sizes by the rules of ``dwn-hw train``, on all that is no test."""
    opened = study_folder.resume(study, asked)
    parts = opened.parts
    train, valid, test = (_arrays(part) for part in (parts.train, parts.validation, parts.test))
    x, y = np.concatenate([train[0], valid[0]]), np.concatenate([train[1], valid[1]])
    print("by hand, default settings:")
    for luts in BY_HAND[name]:
        model = study / f"hand{luts}.pt"
        dwn_hw.fit(x, y, model, test=test, luts=(luts,), epochs=epochs)
        report = dwn_hw.export(dwn_hw.load(model), study / f"hand{luts}", x=test[0], y=test[1])
        dwn_hw.verify(study / f"hand{luts}", simulator="icarus", vectors=200)
        taken, share = sum(part["site"] for part in report["estimate"].values()), report["data"]["accuracy"]
        low, high = proportions.interval(round(share * len(test[1])), len(test[1]))
        print(f"  {luts:5} LUTs in the layer: {taken:6,} LUTs, test {share:.1%} ({low:.1%} to {high:.1%})")


def _arrays(samples) -> tuple[np.ndarray, np.ndarray]:
    table = samples.table
    x = samples.x if table is None else np.stack([column.astype(float) for column in table.columns], axis=1)
    return x.reshape(len(x), -1), samples.y


def main() -> None:
    """Sweep, count, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=sorted(BY_HAND))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--dask", action="store_true")
    parser.add_argument("--no-hand", action="store_true")
    given = parser.parse_args()
    space = given.out.with_suffix(".toml")
    settings = {**(LETTER if given.table == "letter" else MNIST)["train"], "epochs": given.epochs}
    space.write_text("[train]\n" + "".join(f"{name} = {json.dumps(values)}\n" for name, values in settings.items()))
    words = [sys.executable, "-m", "dwn_hw", "sweep"]
    if given.table == "letter":
        path, label = given.data / "uci-pmlb" / "letter.tsv.gz", "target"
        words += [str(path), "--label", label]
    else:
        path, label = given.out.with_suffix(".npz"), None
        _some_images(given.data / "mnist", path, given.samples)
        words += [str(path)]
    words += ["--study", str(given.out), "--space", str(space), "--trials", str(given.trials)]
    started = time.monotonic()
    if given.dask:
        subprocess.run([*words, "--dask", "local", "--jobs", "2"], check=True)
        killed = []
    else:
        killed = two(words, given.out, given.kills)
    print(f"{time.monotonic() - started:.0f} s")
    count(given.out, given.trials, killed)
    asked = study_folder.Asked(path, None, label)
    print(subprocess.run(["cat", str(given.out / "front.csv")], capture_output=True, text=True, check=True).stdout)
    if not given.no_hand:
        by_hand(given.table, given.out, asked, given.epochs)


def _some_images(folder: Path, path: Path, most: int) -> None:
    """Some of MNIST's training images, as many of each class as it has there."""
    samples = sample_parts.read(folder, None, None)[0]
    at = stratified(samples.y.astype(np.int64), most / len(samples.y), 0)[1]
    np.savez(path, x=samples.x[at], y=samples.y[at])


if __name__ == "__main__":
    main()
