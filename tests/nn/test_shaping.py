"""Cheaper encoders and pruned votes: thresholds in reach, bits that few read, LUTs that the vote does without; export."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

import dwn_hw
from dwn_hw.errors import OptionError
from dwn_hw.exports import planning
from dwn_hw.exports.options import Options
from dwn_hw.frontend import extract
from dwn_hw.nn import (
    CandidateMapping,
    DistributiveThermometer,
    GroupSum,
    LearnableMapping,
    LUTLayer,
    cheap_encoder,
    pruning,
)
from dwn_hw.nn import recipe as recipes
from dwn_hw.nn.trainer import Trainer


def thermometer_of(thresholds, x):
    found = DistributiveThermometer(len(thresholds)).fit(x)
    found.thresholds = torch.tensor([thresholds], dtype=x.dtype)
    return found


def test_a_threshold_moves_to_the_roundest_number_that_few_samples_tell_apart():
    """Against all multiples of all powers of two, by counting samples."""
    rng = np.random.default_rng(0)
    for trial in range(60):
        scale = [1.0, 0.01, 300.0][trial % 3]
        x = torch.from_numpy(np.round(rng.normal(rng.normal() * 2, 1, size=(200, 1)) * scale, 2)).float()
        thermometer = DistributiveThermometer(3).fit(x)
        before = thermometer.thresholds.clone()
        weight = float(rng.choice([0.5, 1, 4, 100]))
        cheap_encoder.move_to_round(thermometer, x, weight)
        part = cheap_encoder.REACH * min(1, weight / cheap_encoder.FULL_REACH_AT)
        above = [200, *(int((x > old).sum()) for old in before[0]), 0]
        for at, (old, new) in enumerate(zip(before[0], thermometer.thresholds[0], strict=True), 1):
            reach = int(part * min([abs(above[at] - n) for n in above if n != above[at]]))
            differ = int(((x > new) != (x > old)).sum())
            assert differ <= reach
            number = float(torch.nextafter(new, torch.tensor(torch.inf)))
            step = next(2.0**k for k in range(20, -60, -1) if (number / 2.0**k).is_integer())
            # No multiple of a greater power of two is as near to it, by the samples between.
            coarser = np.arange(-(2**11), 2**11 + 1) * (2 * step)
            ones = int((x > old).sum())
            counts = (x.double().numpy() >= coarser).sum(axis=0)
            in_reach = (abs(counts - ones) <= reach) & (counts < len(x)) & (coarser <= float(x.max()))
            assert number == 0 or not in_reach.any()


def test_a_weight_of_nothing_in_reach_moves_no_sample_and_one_above_all_samples_stays():
    x = torch.tensor([[3.0], [5.0], [5.0], [9.0]])
    thermometer = thermometer_of([3.0, 5.0, 9.0], x)
    before = thermometer.binarize(x)
    cheap_encoder.move_to_round(thermometer, x, 1e-9)
    assert (thermometer.binarize(x) == before).all()
    assert thermometer.thresholds[0, 2] == 9
    assert [float(t) for t in thermometer.thresholds[0, :2]] == pytest.approx(
        [4, 8]
    )  # 4 and 8 are rounder than 5 and 9


def test_comparisons_are_counted_by_their_lowest_bit_and_double_or_constant_ones_not_at_all():
    x = torch.arange(256.0)[:, None]
    numbers = [128.0, 64, 192, 4, 2, 1, 77, 77, 300]
    thermometer = thermometer_of([np.nextafter(np.float32(n), np.float32(-np.inf)) for n in numbers], x)
    #       of 8 bits, compared are   1  2  2  6  7  8  8 twice, and none
    assert cheap_encoder.comparison_luts(thermometer, x).tolist() == [0, 1, 1, 1, 2, 2, 2, -1, -1]
    signed = thermometer_of(
        [np.nextafter(np.float32(n), np.float32(-np.inf)) for n in (0.0, 64.0, -64.0, 1.0)], x - 128
    )
    assert cheap_encoder.comparison_luts(signed, x - 128).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("candidates", [None, 7])
def test_each_bit_that_is_left_has_its_readers_and_every_slot_reads_one_of_them(candidates):
    torch.manual_seed(0)
    luts = torch.randint(0, 3, (60,))
    luts[:5] = -1
    before = None
    for weight in (0.0, 2.0, 5.0, 9.0, 30.0):
        torch.manual_seed(1)
        mapping = CandidateMapping(60, 200, candidates) if candidates else LearnableMapping(60, 200)
        left = cheap_encoder.let_go(mapping, torch.ones(60, dtype=torch.bool), luts, weight, torch.Generator())
        assert not left[:5].any()
        assert left[luts == 0].all()
        chosen = torch.eye(60)[:, :]  # a sample for each input, in which it alone is 1
        read = mapping(chosen).detach()
        assert (read.sum(dim=0) == 1).all()
        readers = read.sum(dim=1)
        assert (readers[~left] == 0).all()
        assert before is None or left.sum() <= before
        before = left.sum()
        if candidates is None:
            assert (readers[left] >= weight * luts[left]).all()
        else:
            rows = mapping.candidates.t().sort(dim=1).values
            assert (rows[:, 1:] != rows[:, :-1]).all()
        grad = torch.autograd.grad(mapping(chosen).sum(), mapping.weights)[0]
        assert torch.isfinite(grad).all()


def test_the_last_bit_stays_whatever_the_weight():
    mapping = LearnableMapping(6, 4)
    left = cheap_encoder.let_go(mapping, torch.ones(6, dtype=torch.bool), torch.full((6,), 2), 1e9, torch.Generator())
    assert int(left.sum()) == 1


def test_the_voters_that_go_are_those_without_which_the_loss_is_least():
    """Against every choice of one voter a class, by the loss itself."""
    torch.manual_seed(2)
    votes, y, tau = (torch.rand(300, 12) > 0.4).float(), torch.randint(0, 3, (300,)), 1.3
    votes[:, :4] = torch.where((y == 0)[:, None], 1 - votes[:, :4] * (torch.rand(4) > 0.5), votes[:, :4])
    kept = pruning.kept(votes, y, 3, tau, 9)
    assert len(kept) == 9

    def loss(scores):
        return float(nn.functional.cross_entropy(scores / tau, y))

    full = votes.view(300, 3, 4).sum(dim=2)
    for group in range(3):
        losses = []
        for voter in range(4):
            scores = full.clone()
            scores[:, group] += 0.5 - votes[:, 4 * group + voter]
            losses.append(loss(scores))
        gone = set(range(4)) - {int(i) - 4 * group for i in kept if i // 4 == group}
        assert gone == {int(np.argmin(losses))}


def network(last="learnable", candidates=5):
    torch.manual_seed(3)
    second = LUTLayer(24, 12, n=3, mapping=last, candidates=candidates if last == "learnable" else None, alpha=0.3)
    return nn.Sequential(LUTLayer(20, 24, n=4), second, GroupSum(3, tau=2.0))


@pytest.mark.parametrize(("last", "candidates"), [("learnable", 5), ("learnable", None), ("random", None)])
def test_what_is_kept_votes_as_before_and_goes_on_as_with_the_others_away(last, candidates):
    """The narrower network gives the wide one's kept bits, and one step of Adam makes of it what it makes of the wide one's."""
    model = network(last, candidates)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.1, fused=True)
    x = (torch.rand(40, 20) > 0.5).float()
    kept = torch.tensor([0, 2, 3, 4, 5, 7, 8, 10, 11])
    mask = torch.zeros(12)
    mask[kept] = 1

    def step(net, chosen):
        optimizer.zero_grad()
        (net[:2](x)[:, chosen] * torch.arange(1.0, 10.0)).sum().backward()
        optimizer.step()

    step(model, kept)
    wide, wide_optimizer = copy.deepcopy((model, optimizer))
    pruning.keep(model, optimizer, kept)
    assert (model[:2](x) == wide[:2](x)[:, kept]).all()
    assert model[1].alpha == 0.3
    step(model, torch.arange(9))
    optimizer = wide_optimizer
    step(wide, kept)
    pruning.keep(wide, wide_optimizer, kept)
    for name, values in model.state_dict().items():
        torch.testing.assert_close(values, wide.state_dict()[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    from dwn_hw.nn.digits import load_digits_split

    split = load_digits_split()
    return split.x_train[:700].reshape(700, -1), split.y_train[:700], split.x_test.reshape(-1, 64), split.y_test


def trained(digits, epochs=8, candidates=8, **asked):
    x, y, *_ = digits
    training = Trainer(
        recipes.for_data(x, 10, luts=(200,), bits=3, candidates=candidates, epochs=epochs, **asked), x, y, 10
    )
    for _ in training.epochs():
        pass
    return training


def encoder_and_all(training, digits):
    model = extract.extract_modules(training.finish(), training.prepared.thermometer)
    report = planning.plan(model, Options(target="xc7", input_format="u5")).report
    luts = [part["lut"] for part in report["estimate"].values()]
    return luts[0], sum(luts)


def test_a_greater_weight_and_a_greater_share_take_fewer_luts_and_the_network_still_tells_digits(digits):
    weights = [trained(digits, cheap_encoder=weight) for weight in (0, 4, 16)]
    encoders = [encoder_and_all(training, digits)[0] for training in weights]
    assert all(first > 1.2 * second for first, second in itertools.pairwise(encoders))
    assert encoders[2] <= 1200 / 16
    pruned = trained(digits, cheap_encoder=4, prune=0.4)
    assert encoder_and_all(pruned, digits)[1] < encoder_and_all(weights[1], digits)[1] - 80
    assert pruned.model[0].output_size == 120
    for training in (*weights, pruned):
        right, count = training.accuracy(*digits[2:])
        assert right / count > 0.75


def test_without_either_a_training_is_what_it_was_bit_for_bit(digits):
    """The figures of the loop without any shaping, written out again."""
    from dwn_hw.nn.training import step

    x, y, *_ = digits
    training = trained(digits, epochs=2, candidates=0)
    again = Trainer(training.recipe, x, y, 10)
    order, model = torch.Generator().manual_seed(0), again.model.train()
    for _ in range(2):
        for at in torch.split(torch.randperm(len(again._bits), generator=order), training.recipe.batch_size):
            step(model, again._optimizer, again._bits[at].float(), again._y[at])
        again._schedule.step()
    assert all((values == model.state_dict()[name]).all() for name, values in training.model.state_dict().items())
    assert torch.equal(
        training.prepared.thermometer.thresholds,
        DistributiveThermometer(3).fit(torch.from_numpy(x[again_first(x, y)])).thresholds,
    )


def again_first(x, y):
    from dwn_hw.nn.trainer import VALIDATION, stratified

    return stratified(y, VALIDATION, 0)[0]


def test_a_shaped_training_that_was_cut_off_goes_on_with_the_same_numbers(digits):
    x, y, *_ = digits
    whole = trained(digits, cheap_encoder=6, prune=0.3)
    for cut in (1, 2, 5):
        begun = Trainer(whole.recipe, x, y, 10)
        for _ in itertools.islice(begun.epochs(), cut):
            pass
        state = copy.deepcopy(begun.state())
        again = Trainer(whole.recipe, x, y, 10)
        again.resume(state)
        for _ in again.epochs():
            pass
        assert again.history == whole.history
        assert all((v == again.model.state_dict()[name]).all() for name, v in whole.model.state_dict().items())


def test_a_shaped_network_exports_and_predicts_as_its_own_forward(digits, tmp_path):
    training = trained(digits, cheap_encoder=6, prune=0.3)
    model = training.finish()
    dwn_hw.save(model, tmp_path / "m.pt", thermometer=training.prepared.thermometer)
    dwn_hw.export(dwn_hw.load(tmp_path / "m.pt"), tmp_path / "out", x=digits[2])
    wanted = model(training.prepared.thermometer.binarize(digits[2]).flatten(1)).argmax(dim=1).numpy()
    assert (dwn_hw.predict(tmp_path / "out", digits[2])[0] == wanted).all()


@pytest.mark.parametrize("asked", [{"cheap_encoder": -1.0}, {"prune": 1.0}, {"prune": float("nan")}, {"prune": -0.1}])
def test_weights_and_shares_that_are_none_are_sentences(digits, asked):
    with pytest.raises(OptionError, match="--prune"):
        recipes.for_data(digits[0], 10, **asked)


def test_pruning_needs_as_many_voters_of_each_class(digits):
    x, y, *_ = digits
    with pytest.raises(OptionError, match="--prune: a last layer of as many LUTs for each of 10 classes; got 25 LUTs"):
        Trainer(recipes.for_data(x, 10, luts=(25,), prune=0.5), x, y, 10)
