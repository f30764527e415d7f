"""`dwn-hw run` before any board answers: what it refuses, and what it writes.

Needs yosys (Amaranth's wheel) to export, pyserial.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.errors import Mismatch
from dwn_hw.exports import planning, writer
from dwn_hw.fpga import session
from dwn_hw.hardware.design import make_design
from dwn_hw.ir import ArgMax, Format, GroupSum, Input, LutLayer, Network, Thermometer, sample_files

NETWORK = Network(
    Input((2,), (Format(4),)),
    (Thermometer(((3, 9), (5,))), LutLayer(((0, 1), (1, 2), (0, 2)), (0x6, 0x8, 0xE)), GroupSum(3), ArgMax()),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """``stream`` and ``none``, exports of the same network, and ``x.npz``."""
    folder = tmp_path_factory.mktemp("place")
    for shell in ("stream", "none"):
        writer.write(planning.ExportPlan(make_design(NETWORK, shell=shell), 0, {}, None), folder / shell)
    np.savez(folder / "x.npz", codes=np.array([[1, 2], [15, 0]]))
    return folder


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stream", "x.npz"], "--port: this or --virtual; got neither."),
        (["stream", "x.npz", "--port", "/dev/ttyNONE", "--virtual"], "--port: this or --virtual; got both."),
        (["stream", "x.npz", "--port", "/dev/ttyNONE"], "/dev/ttyNONE: a serial port; got nothing there."),
        (["none", "x.npz", "--virtual"], "an export with streams; got one without. Export with --shell stream."),
        (["stream", "--self-test", "--port", "/dev/ttyNONE", "-o", "y.npz"], "--out: only with a file of samples"),
        (["stream", "x.npz", "--virtual", "--baud", "9600"], "--baud: with --port; got --virtual. Leave it out."),
        (["stream", "x.npz", "--virtual", "--board", "icebreaker"], "--board: with --port; got --virtual."),
        (["stream", "--self-test", "--virtual", "--compare"], "--compare: only with a file of samples; got none."),
        (["stream", "x.npz", "--virtual", "-o", "gone/y.npz"], "gone/y.npz: a writable file; got no directory gone."),
        (["stream", "x.npz", "--virtual", "-o", "/dev/null"], "/dev/null: a writable file; got a device."),
        (["nowhere", "x.npz", "--virtual"], "an export directory; got nothing there"),
        (["stream", "absent.npz", "--virtual"], "an .npz file of samples; got No such file"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_remedy(place, monkeypatch, words, sentence):
    monkeypatch.chdir(place)
    result = CliRunner().invoke(main.main, ["run", *words, "--json"])
    assert result.exit_code == 2, result.stderr
    assert sentence in json.loads(result.stdout)["error"]["message"]
    assert not (place / "y.npz").exists()


def test_a_difference_is_named_with_sample_field_and_both_values():
    codes = np.arange(8).reshape(4, 2)
    given = {"class": np.array([[0], [1], [2], [0]]), "scores": np.zeros((4, 3), np.int64)}
    answers = session.Answers(codes, given, np.zeros(4, np.int64), 1.0)
    right = {"class": np.array([0, 1, 2, 0]), "scores": np.zeros((4, 3), np.int64)}
    assert session.compare(answers, right, "sample", "the board") == 16
    wrong = right | {"scores": np.array([[0, 0, 0], [0, 0, 0], [0, 5, 0], [1, 0, 0]])}
    with pytest.raises(Mismatch, match=r"sample 2, scores 1: expected 5, got 0\n  codes 4, 5\n  2 of 4 differ"):
        session.compare(answers, wrong, "sample", "the board")


def test_predictions_without_scores_hold_none(tmp_path):
    sample_files.save_predictions(tmp_path / "y.npz", NETWORK, np.array([[1, 2]]), None, np.array([2]))
    with np.load(tmp_path / "y.npz") as file:
        assert sorted(file) == ["codes", "y"]


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ({}, "--port: this or --virtual; got neither."),
        ({"port": "/dev/ttyS0", "virtual": True}, "--port: this or --virtual; got both."),
        ({"virtual": True, "baud": 9600}, "--baud: with --port; got --virtual."),
        ({"port": "absent"}, "absent"),
    ],
)
def test_a_board_that_cannot_be_opened_is_refused_when_it_is_opened(place, where, sentence):
    board = dwn_hw.Board(place / "stream", **where)
    with pytest.raises(dwn_hw.DwnHwError, match=re.escape(sentence)), board:
        pass


def test_a_board_is_asked_inside_its_with_statement_only(place):
    with pytest.raises(dwn_hw.InputError, match="used inside its with statement"):
        dwn_hw.Board(place / "stream", virtual=True).predict(np.array([[1, 2]]))
    with pytest.raises(dwn_hw.InputError, match="an export with streams; got one without"):
        dwn_hw.run(place / "none", np.array([[1, 2]]), port="absent")
