"""Sweeps of a small table: what is found is verified, what is equal is done once, and another study is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("optuna")

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.errors import DataError, OptionError, ToolError
from dwn_hw.exports import reader
from dwn_hw.frontend import sample_formats
from dwn_hw.ir.emulate import Emulator
from dwn_hw.studies import front, one_trial, sample_parts

ROOT = Path(__file__).resolve().parents[2]

SPACE = {"train": {"luts": [3, 6], "bits": 3, "epochs": 1}}


@pytest.fixture
def table(tmp_path):
    """A table of three classes by which of three columns is greatest, with a column of text."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 8, (150, 3))
    lines = [f"{a},{b},{c},{'red' if a > 3 else 'blue'},{'uvw'[int(np.argmax((a, b, c)))]}" for a, b, c in x]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,c,colour,kind", *lines]) + "\n")
    return path


@pytest.fixture
def quick(monkeypatch):
    """Trials whose result is made up of their point: what is tested is what stands around them. What was run, in turn."""
    done = []

    def run(study, point, progress):
        done.append(dict(point))
        if point["luts"] == (6,):
            raise ToolError("no more room")
        found = {"right": 20, "samples": 24, "test_right": 25, "test_samples": 30, "lut_inputs": 6}
        return {**found, "design": f"design{len(done)}", "luts": sum(point["luts"])}

    monkeypatch.setattr(one_trial, "run", run)
    monkeypatch.setattr(front, "write_page", lambda study, rows, progress: study.folder / "report.html")
    return done


def run(*words, code=0):
    done = CliRunner().invoke(main.main, ["sweep", *map(str, words)])
    assert done.exit_code == code, done.output
    return done


def by_hand(folder, part):
    """How many samples of a part a design gets right, by the emulator on codes that the column rules of its network give."""
    network = reader.read_export(folder).network
    from dwn_hw.ir import sample_files

    x = sample_files.resolved(part, network.table)[0]
    y = Emulator(network).run(sample_files.to_codes(x, network).codes)[1]
    return int((np.array(network.class_names)[y] == part.y).sum())


def test_a_sweep_finds_verified_designs_and_says_what_they_are_worth(table, tmp_path, monkeypatch):
    monkeypatch.setattr(front, "write_page", lambda study, rows, progress: study.folder / "report.html")
    study = tmp_path / "study"
    report = dwn_hw.sweep(table, study, label="kind", space=SPACE, trials=1, vectors=5)
    assert report["trials"] == {"complete": 1, "fail": 0, "running": 0, "waiting": 0} | report["trials"]
    (row,) = report["front"]
    parts = sample_parts.cut(sample_formats.read(table, "kind"), None, 0)
    design = study / "designs" / row["design"]
    record = json.loads((study / "trials" / "0000.json").read_text())["result"]
    assert record["right"] == by_hand(design, parts.validation)
    assert record["test_right"] == by_hand(design, parts.test)
    assert record["verified"]["node_values"] > 100
    assert json.loads((design / "verify" / "rtl.json").read_text())["equal"] is True
    estimate = json.loads((design / "report.json").read_text())["estimate"]
    assert row["luts"] == sum(part["site"] for part in estimate.values())
    assert (study / "front.csv").is_file()


def test_the_three_parts_are_apart_and_together_all_samples(table):
    samples = sample_formats.read(table, "kind")
    parts = sample_parts.cut(samples, None, 0)
    sizes = [len(part) for part in (parts.train, parts.validation, parts.test)]
    assert sum(sizes) == 150
    assert (sizes[2], sizes[1]) == (30, 24)
    found = [
        [*map(str, row), str(label)]
        for part in (parts.train, parts.validation, parts.test)
        for *row, label in zip(*part.table.columns, part.y, strict=True)
    ]
    assert sorted(found) == sorted([*map(str, row)] for row in zip(*samples.table.columns, strict=True))
    assert sample_parts.cut(samples, None, 1).test.y.tolist() != parts.test.y.tolist()


def test_a_failed_trial_is_told_with_its_reason_and_the_sweep_goes_on(table, tmp_path, quick):
    done = run(
        table, "--study", tmp_path / "s", "--label", "kind", "--luts", "3", "--luts", "6", "--luts", "9", "--json"
    )
    report = json.loads(done.stdout)
    assert (report["trials"]["complete"], report["trials"]["fail"]) == (2, 1)
    assert [record["reason"] for record in report["failed"]] == ["no more room"]
    assert "failed: no more room" in done.stderr
    assert [row["luts"] for row in report["front"]] == [3]
    assert len(quick) == 3


def test_resume_goes_on_and_does_nothing_twice(table, tmp_path, quick):
    words = (table, "--study", tmp_path / "s", "--label", "kind", "--luts", "3", "--luts", "9", "--bits", "2..30")
    run(*words, "--trials", "3")
    assert len(quick) == 3
    run(table, "--study", tmp_path / "s", "--resume", "--trials", "5")
    assert len(quick) == 5
    run(*words, "--resume", "--trials", "5")
    assert len(quick) == 5
    run(*words, "--trials", "9", code=2)


def test_a_result_that_was_written_before_its_process_died_is_told_and_not_done_again(
    table, tmp_path, quick, monkeypatch
):
    from dwn_hw.studies import journal

    told = journal.Journal.tell
    monkeypatch.setattr(journal.Journal, "tell", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        dwn_hw.sweep(table, tmp_path / "s", label="kind", space={"train": {"luts": [3, 9]}})
    monkeypatch.setattr(journal.Journal, "tell", told)
    report = dwn_hw.sweep(table, tmp_path / "s", resume=True)
    assert report["trials"]["complete"] == len(quick) == 2
    lines = (tmp_path / "s" / "trials" / "0000.attempts").read_text().splitlines()
    assert len(lines) == 2


def test_a_trial_that_kills_its_processes_fails_after_three(table, tmp_path, quick, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    ran = one_trial.run
    monkeypatch.setattr(one_trial, "run", die)
    for resume in (False, True, True):
        with pytest.raises(KeyboardInterrupt):
            dwn_hw.sweep(table, tmp_path / "s", label="kind", space={"train": {"luts": [3, 9]}}, resume=resume)
    monkeypatch.setattr(one_trial, "run", ran)
    report = dwn_hw.sweep(table, tmp_path / "s", resume=True)
    assert (report["trials"]["complete"], report["trials"]["fail"]) == (1, 1)
    assert "3 processes that worked on it ended" in report["failed"][0]["reason"]


def test_another_study_is_refused_with_everything_that_differs(table, tmp_path, quick):
    dwn_hw.sweep(table, tmp_path / "s", label="kind", space={"train": {"luts": [3, 9]}}, trials=1)
    other = tmp_path / "other.csv"
    other.write_text(table.read_text().replace("red", "green"))
    with pytest.raises(OptionError) as caught:
        dwn_hw.sweep(other, tmp_path / "s", resume=True, label="kind", space=SPACE, seed=4, vectors=9, synth="ice40")
    told = [str(problem) for problem in caught.value.problems]
    for words in (
        "the table's content",
        "the space",
        "--seed; got 4, not 0",
        "--vectors",
        'by; got ["synth", "ice40"]',
    ):
        assert any(words in text for text in told), words
    assert len(told) == 5
    with pytest.raises(OptionError, match="of the same --label"):
        dwn_hw.sweep(table, tmp_path / "s", resume=True, label="colour")
    dwn_hw.sweep(table, tmp_path / "s", resume=True, trials=1)


def test_the_digest_is_of_the_content_not_of_the_file(table, tmp_path):
    import gzip

    packed = tmp_path / "elsewhere.csv.gz"
    packed.write_bytes(gzip.compress(table.read_bytes()))
    first, second = (sample_formats.read(path, "kind") for path in (table, packed))
    assert sample_parts.digest(first) == sample_parts.digest(second)
    packed.write_bytes(gzip.compress(table.read_bytes().replace(b",u\n", b",w\n", 1)))
    assert sample_parts.digest(sample_formats.read(packed, "kind")) != sample_parts.digest(first)


def test_a_folder_that_is_something_else_is_refused(table, tmp_path):
    def refused(study, words, **given):
        with pytest.raises(OptionError, match=words):
            dwn_hw.sweep(table, study, label="kind", space=SPACE, **given)

    refused(table, "Not a directory")
    refused(tmp_path, r"with table\.csv, and no study\.json")
    refused(tmp_path / "none", "none in", resume=True)
    own = tmp_path / "own"
    own.mkdir()
    for text, words in (("{", "no JSON"), ("[]", "a study of format"), ('{"format": "another 7"}', "no samples")):
        (own / "study.json").write_text(text)
        refused(own, words, resume=True)
    refused(own, "one in", resume=False)
    assert sorted(path.name for path in own.iterdir()) == ["study.json"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"jobs": 0}, "--jobs: a whole number from 1; got 0"),
        ({"trials": 0}, "--trials: a whole number from 1; got 0"),
        ({"minutes": -1}, "--minutes: a time above 0; got -1"),
        ({"place": "icebreakr"}, "Did you mean icebreaker"),
        ({"place": "arty-a7-35"}, "a board that nextpnr routes"),
        ({"synth": "ice41"}, "one of xc7, "),
        ({"synth": "ice40", "place": "icebreaker"}, "not with --place"),
        ({"kind": "dwm"}, "near it: dwn"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_read(tmp_path, asked, words):
    with pytest.raises(OptionError) as caught:
        dwn_hw.sweep(tmp_path / "none.csv", tmp_path / "s", **asked)
    assert words in str(caught.value)
    assert not (tmp_path / "s").exists()


def test_a_table_too_small_for_three_parts_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n1,u\n2,u\n3,w\n")
    with pytest.raises(DataError, match="several samples of each class"):
        dwn_hw.sweep(tmp_path / "t.csv", tmp_path / "s", space=SPACE)
    assert not (tmp_path / "s").exists()


def words_of(table, study, *more):
    fixed = ("--label", "kind", "--vectors", "5", "--quiet")
    return [sys.executable, "-m", "dwn_hw", "sweep", str(table), "--study", str(study), *fixed, *more]


#: A space of four points.
FOUR = (*("--bits", "3", "--epochs", "1"), *("--luts", "3", "--luts", "6", "--luts", "9", "--luts", "12"))


@pytest.mark.sweeps
def test_equal_designs_are_done_once(table, tmp_path):
    space = {"train": {**SPACE["train"], "luts": 6}, "export": {"latency": [1, 2], "target": ["generic", "ice40"]}}
    report = dwn_hw.sweep(table, tmp_path / "s", label="kind", space=space, trials=4, vectors=5)
    assert report["trials"]["complete"] == 4
    assert len(list((tmp_path / "s" / "models").iterdir())) == 1
    assert len(list((tmp_path / "s" / "designs").glob("*.json"))) == 4
    again = dwn_hw.sweep(table, tmp_path / "t", label="kind", space={**space, "export": {"shell": "stream"}}, vectors=5)
    other = dwn_hw.sweep(table, tmp_path / "u", label="kind", space={**space, "export": {"optimize": True}}, vectors=5)
    assert again["front"][0]["design"] == other["front"][0]["design"]


@pytest.mark.sweeps
@pytest.mark.parametrize("how", [["--jobs", "2"], ["--dask", "local", "--jobs", "2"]])
def test_processes_beside_and_of_a_cluster_find_the_same_as_one(table, tmp_path, how):
    if "--dask" in how:
        pytest.importorskip("distributed")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for study, ways in (("one", []), ("two", how)):
        subprocess.run(words_of(table, tmp_path / study, *FOUR, *ways), check=True, env=env, timeout=400)
    first, second = ((tmp_path / study / "front.csv").read_text().splitlines() for study in ("one", "two"))
    assert [line.split(",")[1:] for line in first] == [line.split(",")[1:] for line in second]
    pytest.importorskip("vl_convert")
    page = (tmp_path / "two" / "report.html").read_text()
    assert page.count("<svg") >= 2
    assert all(line.split(",")[1] in page for line in second[1:])


@pytest.mark.sweeps
def test_a_process_that_is_killed_in_a_trial_loses_and_doubles_nothing(table, tmp_path):
    study, env = tmp_path / "s", {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(words_of(table, study, *FOUR), env=env)
    kills, until = 0, time.monotonic() + 200
    while kills < 2 and time.monotonic() < until:
        process = (
            subprocess.Popen([*words_of(table, study), "--resume"], env=env)
            if (study / "journal.log").exists()
            else None
        )
        if process is None:
            time.sleep(0.05)
            continue
        while process.poll() is None:
            mine = [
                path
                for path in (study / "trials").glob("*.attempts")
                if f'"process": {process.pid}' in path.read_text()
            ]
            if any(not path.with_suffix(".json").exists() for path in mine):
                time.sleep(0.3)
                os.kill(process.pid, signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
        if first.poll() is not None:
            break
    assert first.wait(200) == 0
    records = sorted(path.stem for path in (study / "trials").glob("*.json"))
    assert records == ["0000", "0001", "0002", "0003"]
    begun = sum(len(path.read_text().splitlines()) for path in (study / "trials").glob("*.attempts"))
    assert begun == 4 + kills
    assert kills >= 1
