"""Large inputs take memory in proportion to what they are, and long work says how long it will take."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from dwn_hw import _progress, ir
from dwn_hw.errors import OptionError
from dwn_hw.exports import prediction
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.lowering import lower_network
from dwn_hw.ir import sample_files, vectors
from dwn_hw.ir.emulate import Emulator


def network(features, thresholds, luts, bits=8, seed=0):
    rng = np.random.default_rng(seed)
    rows = tuple(tuple(sorted(rng.integers(1, 1 << bits, thresholds).tolist())) for _ in range(features))
    wires = tuple(tuple(row) for row in rng.integers(0, features * thresholds, (luts, 6)).tolist())
    tables = tuple(int(table) for table in rng.integers(0, 1 << 62, luts))
    port = ir.Input((features,), (ir.Format(bits),))
    return ir.Network(port, (ir.Thermometer(rows), ir.LutLayer(wires, tables), ir.GroupSum(10), ir.ArgMax()))


def peak(work):
    """The result, and the most bytes that were held at once while it was made."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_prediction_takes_memory_for_its_codes_and_answers_and_not_for_a_float_of_each_number(kind):
    x = np.random.default_rng(1).integers(0, 256, (300_000, 64)).astype(kind)
    given = sample_files.Samples(x, None, None, "x")
    (report, (codes, _, y)), bytes_held = peak(lambda: prediction.predict(network(64, 3, 40), given))
    assert report["samples"] == len(y) == 300_000
    assert codes.dtype == np.uint8
    answers = 300_000 * (10 + 1) * 8
    assert bytes_held < codes.nbytes + answers + (100 << 20), f"{bytes_held >> 20} MiB"  # a float64 of each is 146 MiB


def test_a_wide_layer_is_emulated_in_no_more_memory_than_a_narrow_one():
    codes = np.zeros((4096, 20), np.int64)
    held = [peak(lambda luts=luts: Emulator(network(20, 5, luts)).run(codes))[1] for luts in (1000, 20_000)]
    # The votes as bytes take 41 MB a thread; 20,000 LUTs of 64 entries at once took several times 164 MB a thread.
    assert held[1] - held[0] < 250 << 20, held


def test_boundary_vectors_of_very_many_features_share_vectors_and_miss_no_boundary():
    wide = network(6000, 2, 20, bits=12)
    assert vectors.MOST_CODES < 6000 * 6 * 6000
    made = vectors.directed(wide, 0)
    assert dict(made.kinds)["boundary"] * 6000 <= vectors.MOST_CODES
    start = dict(made.kinds)["zero"]
    codes = made.codes[start : start + dict(made.kinds)["boundary"]]
    for feature, row in enumerate(wide.encoder.thresholds[::50]):
        wanted = {t + d for t in row for d in (-1, 0, 1) if 0 <= t + d < 1 << 12}
        assert wanted <= set(codes[:, feature * 50].tolist()), feature


def test_of_few_features_each_boundary_has_a_vector_of_its_own():
    small = network(30, 4, 20)
    places = sum(len({t + d for t in row for d in (-1, 0, 1) if 0 <= t + d < 256}) for row in small.encoder.thresholds)
    assert dict(vectors.directed(small, 0).kinds)["boundary"] == places


def test_edges_that_are_too_wide_for_a_register_are_refused_before_the_work_and_streaming_takes_them():
    wide = network(5000, 1, 20, bits=16)
    with pytest.raises(OptionError, match=r"x: at most 65,000 bits .* got 80,000\. Take features one at a time"):
        make_design(wide)
    assert make_design(wide, encoder="streamed").interval >= 5000
    with pytest.raises(OptionError, match=r"l0: at most 65,000 bits .* got 70,000\. Make the layer narrower"):
        make_design(network(10, 2, 70_000))


def test_long_work_says_how_far_it_is_and_how_long_it_will_take_more_and_more_seldom(monkeypatch):
    now, said = [0.0], []
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    tell = _progress.counted(said.append, "reading", 1000)
    for done in range(1001):
        now[0] = done / 10
        tell(done)
    assert said[0] == "reading: 20 of 1,000, about 98 s left"
    assert said[1] == "reading: 50 of 1,000, about 95 s left"
    assert len(said) < 10
    assert [_progress.duration(s) for s in (0.2, 99, 101, 3600, 7300)] == ["1 s", "99 s", "2 min", "60 min", "2 h"]


def test_planning_an_encoder_is_such_work(monkeypatch):
    monkeypatch.setattr(_progress, "PAUSE", 0.0)
    monkeypatch.setattr(_progress, "GROWTH", 0.0)
    said: list[str] = []
    lower_network(network(5, 2, 10), progress=said.append)
    assert said[0].startswith("planning the comparisons of each feature: 1 of 5, about 1 s left")
