"""What may be asked of an export: each rule of the table is kept by the default options, and broken by some request by itself.

All that is wrong is said at once, whatever kind of network and hardware it is.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dwn_hw.errors import DataError, OptionError
from dwn_hw.exports.options import RULES, Options, Request, check
from dwn_hw.frontend.integer_networks.trained_network import LiveModel
from dwn_hw.frontend.trained_dwn import Scaler, TrainedDwn, TrainedGroupSum, TrainedLutLayer
from dwn_hw.ir.sample_files import Samples

RNG = np.random.default_rng(0)
LAYER = TrainedLutLayer(RNG.integers(0, 6, (4, 2)), RNG.integers(0, 2, (4, 4)).astype(bool))
DWN = TrainedDwn(
    np.array([[0.0, 1.0, 2.0], [0.5, 1.5, 2.5]], np.float32), None, (LAYER,), TrainedGroupSum(2, 1.0, None)
)
SCALED = dataclasses.replace(DWN, scaler=Scaler("standard", np.zeros(2, np.float32), np.ones(2, np.float32)))
SHIFT = LiveModel(None, "a module")
SAMPLES = Samples(RNG.normal(size=(400, 2)).astype(np.float32), None, RNG.integers(0, 2, 400), "f.npz")

#: (model, folded, options, the options named): each breaks one rule and no other.
BROKEN = [
    (DWN, False, {"shell": "spi"}, "--shell: one of stream, none, uart, axis; got 'spi'"),
    (DWN, False, {"target": "asic"}, "--target: one of generic, xc7, ecp5, ice40, gowin; got 'asic'"),
    (DWN, False, {"encoder": "serial"}, "--encoder: one of parallel, streamed; got 'serial'"),
    (DWN, False, {"latency": 3, "clock_mhz": 100.0}, "--latency: not with --clock-mhz; got both"),
    (DWN, False, {"clock_mhz": -1.0}, "--clock-mhz: a number above 0; got -1"),
    (DWN, False, {"encoder": "streamed", "shell": "none"}, "--shell: with --encoder streamed stream, uart or axis"),
    (SHIFT, True, {"latency": 3}, "--latency: not with the folded engine, whose schedule the lanes decide; got 3"),
    (SHIFT, True, {"clock_mhz": 90.0}, "--clock-mhz: not with the folded engine, whose schedule the lanes decide"),
    (SHIFT, True, {"target": "xc7"}, "--target: not with the folded engine, whose schedule the lanes decide; got xc7"),
    (SHIFT, True, {"encoder": "streamed"}, "--encoder: not with the folded engine, whose schedule the lanes decide"),
    (SHIFT, True, {"shell": "none"}, "--shell: stream: a sample takes many clocks, and its result waits; got 'none'"),
    (DWN, False, {"lanes": 4}, "--lanes: only for a network that counts in integers; got 4, for look-up tables"),
    (SHIFT, False, {"use_scaler": False}, "--no-scaler: only for a model that was saved with a scaler; got a network"),
    (DWN, False, {"activations": "4.4"}, "--activations: only for a network that counts in integers; got 4.4"),
    (DWN, False, {"weights": "4"}, "--weights: only for a network that counts in integers; got 4"),
    (DWN, False, {"deterministic": True}, "--deterministic: only for a network that counts in integers; got look-up"),
    (DWN, False, {"numbers": True}, "--numbers: only for a network that counts in integers; got look-up tables"),
    (DWN, False, {"input_shape": "1,2"}, "--input-shape: only with --normalize; got '1,2' alone"),
    (DWN, False, {"normalize": "0,1", "use_scaler": False}, "--normalize: not with --no-scaler; got both"),
    (SCALED, False, {"normalize": "0,1"}, "--normalize: only for a model without a scaler; got standard"),
    (DWN, False, {"max_drop": 0.1}, "--max-drop: only with --calibrate; got 0.1 alone"),
    (DWN, False, {"max_drop": 1.5, "calibrate": SAMPLES}, "--max-drop: a part of all samples, above 0 and below 1"),
    (
        DWN,
        False,
        {"input_format": "u8", "calibrate": SAMPLES},
        "--calibrate: not with --input-format; got 'u8' as well",
    ),
    (SHIFT, False, {"activations": "4.4", "calibrate": SAMPLES}, "--calibrate: not with --activations; got '4.4' as"),
    (DWN, False, {"name": "9lives"}, "--name: a letter, then letters, digits"),
]


@pytest.mark.parametrize(("model", "folded"), [(DWN, False), (SCALED, False), (SHIFT, False), (SHIFT, True)])
def test_what_nobody_asked_for_breaks_no_rule(model, folded):
    check(Request(Options(), model, folded))


@pytest.mark.parametrize(("model", "folded", "options", "sentence"), BROKEN, ids=lambda value: str(value)[:30])
def test_each_rule_is_broken_by_itself_and_says_so(model, folded, options, sentence):
    with pytest.raises(OptionError) as caught:
        check(Request(Options(**options), model, folded))
    (problem,) = caught.value.problems
    assert str(problem).startswith(sentence)


def test_no_rule_of_the_table_is_left_out_above():
    tried = [(model, folded, Options(**options)) for model, folded, options, _ in BROKEN]
    silent = [rule for rule in RULES if not any(rule.got(Request(o, m, f)) for m, f, o in tried)]
    assert silent == []


def test_everything_that_does_not_go_together_is_said_at_once():
    asked = Options(latency=7, clock_mhz=-1, shell="spi", target="asic", lanes=2, max_drop=0.1, name="a b")
    with pytest.raises(OptionError) as caught:
        check(Request(asked, DWN))
    things = [problem.thing for problem in caught.value.problems]
    assert things == ["--shell", "--target", "--latency", "--clock-mhz", "--lanes", "--max-drop", "--name"]


def test_of_a_folded_engine_too():
    asked = Options(latency=7, target="xc7", shell="axis", use_scaler=False, max_drop=0.1, lanes=2)
    with pytest.raises(OptionError) as caught:
        check(Request(asked, SHIFT, folded=True))
    things = [problem.thing for problem in caught.value.problems]
    assert things == ["--latency", "--target", "--shell", "--no-scaler", "--max-drop"]


def test_what_is_wrong_with_the_samples_is_said_with_the_options_and_alone_it_is_of_the_data():
    bad = Samples(np.zeros((400, 3)), None, np.full(400, 7), "f.npz")
    with pytest.raises(OptionError) as caught:
        check(Request(Options(calibrate=bad, input_format="u8"), DWN))
    assert [problem.thing for problem in caught.value.problems] == ["--calibrate", "f.npz", "f.npz", "f.npz"]
    with pytest.raises(DataError):
        check(Request(Options(calibrate=bad), DWN))
