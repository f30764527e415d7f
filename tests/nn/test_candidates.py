"""A mapping that chooses among candidates: gradients by definition, trained, saved and exported."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import dwn_hw
from dwn_hw.errors import CheckpointError, OptionError
from dwn_hw.exports import planning
from dwn_hw.exports.options import Options
from dwn_hw.frontend import extract
from dwn_hw.nn import CandidateMapping, DistributiveThermometer, GroupSum, LearnableMapping, LUTLayer
from dwn_hw.nn.training import accuracy, fit


def by_definition(mapping, x, grad):
    """The output and both gradients, in double loops and float64."""
    weights, candidates = mapping.weights.detach().double().numpy(), mapping.candidates.numpy()
    x, grad = x.detach().double().numpy(), grad.double().numpy()
    count, slots = weights.shape
    out, x_grad, weights_grad = np.zeros((len(x), slots)), np.zeros_like(x), np.zeros_like(weights)
    for j in range(slots):
        out[:, j] = x[:, candidates[int(np.argmax(weights[:, j])), j]]
        share = np.exp((weights[:, j] - weights[:, j].max()) / mapping.tau)
        share /= share.sum()
        for c in range(count):
            x_grad[:, candidates[c, j]] += share[c] * grad[:, j]
            weights_grad[c, j] = ((2 * x[:, candidates[c, j]] - 1) * grad[:, j]).sum()
    return out, x_grad, weights_grad


@pytest.mark.parametrize("tau", [0.001, 0.3])
@pytest.mark.parametrize(
    ("inputs", "slots", "count", "batch"), [(20, 30, 5, 7), (9, 4, 9, 1), (3, 2, 1, 4), (700, 600, 16, 33)]
)
def test_output_and_gradients_are_those_of_the_definition(inputs, slots, count, batch, tau):
    torch.manual_seed(inputs)
    mapping = CandidateMapping(inputs, slots, count, tau=tau)
    x = (torch.rand(batch, inputs) > 0.4).float().requires_grad_()
    grad = torch.randn(batch, slots)
    mapping(x).backward(grad)
    out, x_grad, weights_grad = by_definition(mapping, x, grad)
    assert (mapping(x).detach().numpy() == out).all()
    np.testing.assert_allclose(x.grad.numpy(), x_grad, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(mapping.weights.grad.numpy(), weights_grad, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bool, torch.uint8])
def test_bits_of_any_dtype_are_chosen_and_weights_of_float64_keep_their_precision(dtype):
    torch.manual_seed(1)
    mapping = CandidateMapping(12, 8, 4).to(torch.float64 if dtype == torch.float64 else torch.float32)
    x = (torch.rand(9, 12) > 0.5).to(dtype)
    grad = torch.randn(9, 8, dtype=mapping.weights.dtype)
    mapping(x).backward(grad)
    assert mapping.weights.grad.dtype == mapping.weights.dtype
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    np.testing.assert_allclose(
        mapping.weights.grad.numpy(), by_definition(mapping, x, grad)[2], rtol=tolerance, atol=tolerance
    )


def test_with_all_inputs_as_candidates_it_is_a_learnable_mapping():
    torch.manual_seed(2)
    few, full = CandidateMapping(11, 6, 11, tau=0.2), LearnableMapping(11, 6, tau=0.2)
    with torch.no_grad():
        full.weights.scatter_(0, few.candidates.long(), few.weights)
    x = (torch.rand(5, 11) > 0.5).float()
    grad = torch.randn(5, 6)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    few(one).backward(grad)
    full(other).backward(grad)
    assert (few(x) == full(x)).all()
    torch.testing.assert_close(one.grad, other.grad)
    torch.testing.assert_close(few.weights.grad, full.weights.grad.gather(0, few.candidates.long()))


def test_candidates_of_a_slot_differ_and_inputs_are_used_about_equally_often():
    torch.manual_seed(3)
    mapping = CandidateMapping(50, 400, 7)
    rows = mapping.candidates.t().sort(dim=1).values
    assert (rows[:, 1:] != rows[:, :-1]).all()
    used = torch.bincount(mapping.candidates.flatten(), minlength=50)
    assert used.sum() == 2800
    assert used.min() > 0.7 * 56
    assert used.max() < 1.3 * 56


def network(seed=0, inputs=64 * 3):
    torch.manual_seed(seed)
    return nn.Sequential(LUTLayer(inputs, 120, n=6, mapping="learnable", candidates=16), GroupSum(10, tau=1 / 0.3))


@pytest.fixture(scope="module")
def trained():
    """A network of digits, its thermometer, and what it was tested on."""
    digits = pytest.importorskip("dwn_hw.nn.digits")
    pytest.importorskip("sklearn")
    split = digits.load_digits_split()
    x, y = torch.from_numpy(split.x_train), torch.from_numpy(split.y_train)
    thermometer = DistributiveThermometer(3).fit(x)
    model = network()
    fit(model, thermometer.binarize(x).flatten(start_dim=1), y, epochs=6)
    bits = thermometer.binarize(torch.from_numpy(split.x_test)).flatten(start_dim=1)
    return model, thermometer, split.x_test, split.y_test, bits


def test_it_trains_and_every_form_of_its_checkpoint_exports_the_network_that_it_is(trained, tmp_path):
    model, thermometer, x, y, bits = trained
    assert accuracy(model, bits, torch.from_numpy(y)) > 0.85
    wanted = model(bits).argmax(dim=1).numpy()
    config = {"num_classes": 10, "n": 6, "ste": True}
    dwn_hw.save(model, tmp_path / "own.pt", thermometer=thermometer)
    torch.save({"model": model, "thermometer": thermometer}, tmp_path / "whole.pt")
    plain = {"state_dict": model.state_dict(), "thermometer": {"thresholds": thermometer.thresholds}, "config": config}
    torch.save(plain, tmp_path / "plain.pt")
    for name in ("own", "whole", "plain"):
        dwn_hw.export(dwn_hw.load(tmp_path / f"{name}.pt"), tmp_path / name, x=x)
        assert (dwn_hw.predict(tmp_path / name, x)[0] == wanted).all(), name
    again = network(seed=9)
    again.load_state_dict(model.state_dict())
    assert (again(bits) == model(bits)).all()
    again.train()
    again(bits).sum().backward()
    assert again[0].mapping.weights.grad is not None


def test_a_damaged_set_of_candidates_is_refused(trained, tmp_path):
    model, thermometer, *_ = trained
    for change, says in (
        (lambda c: c[:5], "must have one shape"),
        (lambda c: c + 180, "candidates must be whole numbers in 0..191"),
        (lambda c: c - 60, "candidates must be whole numbers in 0..191"),
        (lambda c: c.float(), "candidates must be whole numbers in 0..191"),
    ):
        state = dict(model.state_dict())
        state["0.mapping.candidates"] = change(state["0.mapping.candidates"])
        content = {
            "state_dict": state,
            "thermometer": {"thresholds": thermometer.thresholds},
            "config": {"num_classes": 10},
        }
        torch.save(content, tmp_path / "m.pt")
        with pytest.raises(CheckpointError, match=says):
            dwn_hw.load(tmp_path / "m.pt")


def test_candidates_of_another_mapping_and_more_than_inputs_are_sentences():
    with pytest.raises(OptionError, match="with a learnable mapping; got mapping='random'"):
        LUTLayer(8, 4, n=2, candidates=3)
    with pytest.raises(OptionError, match="at most the 8 inputs that there are; got 9"):
        LUTLayer(8, 4, n=2, mapping="learnable", candidates=9)
    with pytest.raises(OptionError, match="CandidateMapping candidates"):
        LUTLayer(8, 4, n=2, mapping="learnable", candidates=0)


def test_what_is_frozen_of_it_is_compared_with_torch_like_any_other(trained):
    model, thermometer, *_ = trained
    report = planning.plan(extract.extract_modules(model, thermometer), Options()).report
    assert report["checked"]["group_sums"] > 10_000
