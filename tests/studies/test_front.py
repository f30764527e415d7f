"""The front: designs that none beats, by accuracy and by LUTs of one size."""

from __future__ import annotations

import csv
import random
from types import SimpleNamespace

import pytest

from dwn_hw.studies import front
from dwn_hw.studies.front import Found


def found(number, right, luts, lut_inputs=6, design=None):
    return Found(number, {"n": 6}, design or f"d{number}", right, 100, right - 1, 100, luts, lut_inputs)


def test_a_design_that_another_beats_is_not_on_the_front():
    rows = [found(0, 90, 500), found(1, 91, 500), found(2, 80, 100), found(3, 80, 101), found(4, 95, 900)]
    assert [one.number for one in front.front(rows)] == [2, 1, 4]


def test_of_equal_designs_the_first_is_on_the_front():
    assert [one.number for one in front.front([found(3, 90, 500), found(1, 90, 500)])] == [1]


def test_luts_of_other_sizes_are_not_compared():
    assert [one.number for one in front.front([found(0, 90, 500), found(1, 80, 900, 4)])] == [1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_comparing_all_pairs_says(seed):
    rng = random.Random(seed)
    rows = [found(i, rng.randrange(50, 60), rng.randrange(100, 110)) for i in range(60)]
    kept = front.front(rows)
    assert [one.luts for one in kept] == sorted({one.luts for one in kept})
    for one in rows:
        beaten = [
            o
            for o in rows
            if o.luts <= one.luts and o.right >= one.right and (o.luts, o.right) != (one.luts, one.right)
        ]
        first = min(o.number for o in rows if (o.luts, o.right) == (one.luts, one.right))
        assert (one in kept) == (not beaten and one.number == first)


def test_a_design_counts_once_and_only_if_it_was_verified():
    result = {name: getattr(found(0, 90, 500, design="same"), name) for name in Found.__dataclass_fields__}
    result = {name: value for name, value in result.items() if name not in ("number", "point")}
    records = [
        {"number": 0, "point": {"n": 4}, "state": "failed", "reason": "no"},
        {"number": 1, "point": {"n": 6}, "state": "complete", "result": result},
        {"number": 2, "point": {"n": 4}, "state": "complete", "result": result},
    ]
    assert [one.number for one in front.found(records)] == [1]


def test_the_front_as_csv(tmp_path):
    study = SimpleNamespace(folder=tmp_path, space=SimpleNamespace(dimensions={"n": None}))
    front.write_csv(study, [found(0, 90, 500), found(1, 95, 900)])
    rows = list(csv.DictReader((tmp_path / "front.csv").read_text().splitlines()))
    assert [(row["trial"], row["counted_luts"], row["accuracy"], row["n"]) for row in rows] == [
        ("0", "500", "0.9", "6"),
        ("1", "900", "0.95", "6"),
    ]
    assert float(rows[0]["test_low"]) < float(rows[0]["test_accuracy"]) == 0.89 < float(rows[0]["test_high"])
