"""Spaces: what they may say, what is refused, everything at once, and how options say them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dwn_hw.errors import OptionError
from dwn_hw.frontend.learned_columns import AskedColumns
from dwn_hw.ir.sample_files import Samples
from dwn_hw.studies import check_space, default_space, space
from dwn_hw.studies.space import Between, Choices

pytest.importorskip("torch")


def samples():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 8, (60, 4)).astype(np.float32)
    return Samples(x, None, x[:, :3].argmax(axis=1), "sixty samples")


def test_a_space_says_one_value_several_or_a_range_and_is_read_back_as_it_was():
    said = {
        "train": {"luts": [200, [300, 100]], "n": 6, "bits": {"from": 4, "to": 32, "log": True}, "prune": [0, 0.2]},
        "export": {"target": ["ice40", "ecp5"], "clock_mhz": 50, "optimize": [True, False]},
    }
    found = space.parse(said)
    assert found.train["luts"] == Choices(((200,), (300, 100)))
    assert found.train["bits"] == Between(4, 32, True)
    assert found.export["clock_mhz"] == Choices((50.0,))
    assert list(found.dimensions) == ["luts", "bits", "prune", "target", "optimize"]
    assert found.size == math.inf
    assert space.parse(found.plain(), "dwn") == found


def test_points_of_a_finite_space_are_all_there_once():
    found = space.parse({"train": {"luts": [100, 200, 200], "n": [4, 6]}, "export": {"target": "ice40"}})
    points = list(found.points())
    assert found.size == len(points) == 4
    assert {(point["luts"], point["n"]) for point in points} == {((w,), n) for w in (100, 200) for n in (4, 6)}
    assert found.settings(points[0]) == ({"luts": (100,), "n": 4}, {"target": "ice40"})


def test_everything_that_is_wrong_with_a_space_is_said_at_once():
    said = {
        "train": {
            "lust": [100],
            "n": [4, "six", True],
            "bits": {"from": 8, "to": 4},
            "lr": {"from": 0, "to": 1, "log": True},
            "tau": {"from": 1, "too": 2},
            "thermometer": {"from": 1, "to": 2},
            "luts": [],
            "seed": [1, 2],
            "target": "ice40",
        },
        "epochs": 3,
        "export": {"clock_mhz": ["fast"]},
    }
    with pytest.raises(OptionError) as caught:
        space.parse(said)
    things = {problem.thing: str(problem) for problem in caught.value.problems}
    assert set(things) == {
        *(f"train.{name}" for name in ("lust", "n", "bits", "lr", "tau", "thermometer", "luts", "seed", "target")),
        "epochs",
        "export.clock_mhz",
    }
    assert "Did you mean luts" in things["train.lust"]
    assert "'six', True" in things["train.n"]
    assert "8 to 4" in things["train.bits"]
    assert "above 0" in things["train.lr"]
    assert "--seed" in things["train.seed"]
    assert "[export]" in things["train.target"]


def test_values_are_held_against_the_rules_of_train_and_export_all_at_once():
    said = {
        "train": {"luts": [100, 2], "n": [6, 9], "bits": [4, 0], "thermometer": ["linear", "round"], "prune": [0, 1]},
        "export": {"target": ["ice40", "ice4"], "latency": [2, -1], "clock_mhz": [10], "encoder": ["spread"]},
    }
    with pytest.raises(OptionError) as caught:
        check_space.check(space.parse(said), samples(), AskedColumns())
    told = "\n".join(map(str, caught.value.problems))
    wrong = ("the 3 classes; got 2.", "from 1 to 8; got 9.", "--bits: a whole number", "'round'", "'ice4'")
    for words in (*wrong, "got 0, 1.", "not with --clock-mhz; got both", "'spread'", "from 0; got -1"):
        assert words in told


def test_sizes_are_said_by_width_or_by_budget():
    with pytest.raises(OptionError, match="not with luts"):
        check_space.check(space.parse({"train": {"luts": 90, "budget_lut": 100}}), samples(), AskedColumns())
    with pytest.raises(OptionError, match="a whole number from 1; got 0"):
        check_space.check(space.parse({"train": {"budget_lut": [100, 0]}}), samples(), AskedColumns())


@pytest.mark.parametrize("kind", ["dwn", "shift", "difflogic-like"])
def test_the_space_by_rule_can_be_built(kind):
    found = space.parse(default_space.of(kind), kind)
    check_space.check(found, samples(), AskedColumns())
    assert found.size > 10


def test_options_say_a_space_in_the_form_of_toml():
    texts = {"luts": ("200", "300,100"), "bits": ("4..32:log",), "n": ("6",), "target": ("ice40",), "lr": ("0.1..1",)}
    said = space.of_texts({**texts, "epochs": ()}, "dwn")
    assert said == {
        "train": {
            "luts": [[200], [300, 100]],
            "bits": {"from": 4, "to": 32, "log": True},
            "n": [6],
            "lr": {"from": 0.1, "to": 1},
        },
        "export": {"target": ["ice40"]},
    }
    assert space.varies(said)
    assert not space.varies(space.of_texts({"epochs": ("5",)}, "dwn"))
    with pytest.raises(OptionError, match=r"train\.n: whole numbers"):
        space.parse(space.of_texts({"n": ("many",)}, "dwn"))


def test_a_file_that_is_no_space_is_refused(tmp_path):
    path = tmp_path / "space.toml"
    with pytest.raises(OptionError, match="No such file"):
        space.read(path)
    path.write_text("[train\n")
    with pytest.raises(OptionError, match="a space in TOML"):
        space.read(path)
    path.write_text("[train]\nkind = 'shift'\nhidden = [8, [16, 8]]\n")
    found = space.parse(space.read(path))
    assert (found.kind, found.train["hidden"].values) == ("shift", ((8,), (16, 8)))
    with pytest.raises(OptionError, match="dwn and shift"):
        space.parse({"train": {"kind": "shift"}}, "dwn")
