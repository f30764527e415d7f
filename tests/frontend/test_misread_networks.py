"""Trained networks of uncommon forms: each is the module that it was, or is refused; none was always."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from dwn_hw import ir
from dwn_hw.errors import DwnHwError
from dwn_hw.frontend.integer_networks import freeze_and_compare, freeze_network, read_discretizers, threshold_search
from dwn_hw.frontend.integer_networks.trained_network import FixedPoint, LiveModel, Table
from dwn_hw.frontend.module_state import Findings
from dwn_hw.ir import evaluate
from dwn_hw.ir.sample_files import Samples
from dwn_hw.nn import STE, BinaryDiscretizer, GroupSum, LUTLayer, MultiDiscretizer, dab


class Written(nn.Module):
    """A module whose forward is a function of it and of ``x``; tensors are buffers."""

    def __init__(self, forward, **held):
        super().__init__()
        self.written = forward
        for name, value in held.items():
            if isinstance(value, torch.Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, x):
        return self.written(self, x)


def plan(model: nn.Module, x: np.ndarray | None = None, **asked: str) -> freeze_and_compare.Frozen:
    samples = None if x is None else Samples(x.astype(np.float32), None, None, "x")
    wanted = freeze_and_compare.Asked(**asked)
    return freeze_and_compare.plan(LiveModel(model.eval(), "m"), wanted, samples, lambda text: None)


def codes_of(*shape: int, most: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, most, (80, *shape))


def own(made: freeze_and_compare.Frozen) -> float:
    """How far the network is from the module with its rounded weights."""
    found = made.report["own_forward"][0]
    return found.get("largest_score_difference", found.get("largest_difference"))


def classes(made: freeze_and_compare.Frozen, codes: np.ndarray) -> np.ndarray:
    return evaluate.trace(made.network, codes)[-1]


# ------------------------------------------------------------------------- functions that fall and rise again


FUNCTIONS = {
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "hardswish": nn.Hardswish(),
    "a valley": nn.LeakyReLU(-0.5),
    "gelu and tanh": nn.Sequential(nn.GELU(), nn.Tanh()),
    "sigmoid": nn.Sigmoid(),
}


def stepped(name: str, smooth):
    """A step or a table behind ``smooth``."""
    if name == "table":
        table = Table("t", "a function", smooth)
        return freeze_network._tabled(table, FixedPoint(-5, -128, 127, "half_up"))
    steps = {"signum": dab.SignumWithMargin(0.1), "levels": MultiDiscretizer(3, torch.tensor([-0.15, -0.05, 0.5]))}
    return read_discretizers.read("p", steps[name].double().eval(), smooth, Findings("m"))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(FUNCTIONS)),
    st.sampled_from(["table", "signum", "levels"]),
    st.integers(12, 38),
    st.tuples(st.integers(-38, 0), st.floats(0.01, 60), st.floats(-60, 60), st.booleans()),
)
def test_thresholds_of_a_function_that_falls_and_rises_are_found_on_any_grid(name, kind, bits, place):
    lsb, scale, offset, falling = place
    scales, offsets = torch.tensor([scale, -scale if falling else 3 * scale]).double(), torch.tensor([offset, 1.0])

    def smooth(x):
        return FUNCTIONS[name](torch.from_numpy(np.ascontiguousarray(x)) * scales + offsets).numpy()

    step = stepped(kind, smooth)
    node = threshold_search.node(step, ir.Edge((2,), (ir.Format(bits, True, lsb),)))
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    middle, width = -offset / scale * 2.0**-lsb, 8 / scale * 2.0**-lsb
    wide = np.linspace(low, high, 3001)
    codes = np.clip(np.rint(np.concatenate([wide, np.linspace(middle - width, middle + width, 3001)])), low, high)
    codes = np.unique(codes.astype(np.int64))
    wanted = step(codes[:, None] * np.full(2, 2.0**lsb))
    rows = [(node.thresholds[at % len(node.thresholds)], node.values[at % len(node.values)]) for at in range(2)]
    got = np.stack([np.array(v)[np.searchsorted(t, codes, side="right")] for t, v in rows], 1) * 2.0**node.lsb
    assert (got != wanted).sum() <= 2  # codes at which float64 itself goes up and down


def test_a_function_s_values_that_are_compared_lie_on_a_grid_of_their_own():
    torch.manual_seed(1)
    mean = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), dab.BinaryByMean(), nn.Linear(5, 3))
    made = plan(mean, input_format="u4/16")
    assert own(made) < 1
    assert made.report["own_forward"][0]["predictions_changed"] < 40
    assert len(np.unique(classes(made, codes_of(3)))) > 1
    layers = [nn.Conv2d(1, 2, 2), nn.Tanh(), nn.MaxPool2d(2), dab.SignumWithMargin(0.25), nn.Flatten(), nn.Linear(2, 2)]
    made = plan(nn.Sequential(*layers), codes_of(1, 3, 3) / 16)
    assert made.report["data"]["predictions_changed"] <= 2


# ------------------------------------------------------------------------------------------------ the end


def test_the_arg_max_at_the_end_is_the_last_one():
    torch.manual_seed(0)
    nearest = dab.KMeans(4, 3)
    nearest.centroids.copy_(torch.randint(-64, 64, (4, 3)) / 64)
    layers = nn.Sequential(nn.Linear(6, 6), nn.Unflatten(1, (2, 3)), nearest, nn.Flatten(), nn.Linear(6, 3))
    made = plan(Written(lambda self, x: self.b(x).argmax(-1), b=layers), codes_of(6))
    assert own(made) == 0
    assert made.network.classifies


@pytest.mark.parametrize("rows", [1, 2])
def test_an_arg_max_may_keep_its_axis(rows):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(6, 6), nn.Unflatten(1, (rows, 6 // rows))) if rows > 1 else nn.Linear(6, 6)
    model = Written(lambda self, x: self.b(x).argmax(-1, keepdim=True), b=layers)
    made = plan(model, codes_of(6))
    wanted = model(torch.from_numpy(codes_of(6)).float()).numpy()
    assert (classes(made, codes_of(6)).reshape(80, rows) == wanted.reshape(80, rows)).mean() > 0.9


@pytest.mark.parametrize("before", [nn.Hardtanh(-4, 4), nn.Tanh()], ids=["clamp", "tanh"])
def test_softmax_makes_classes_of_any_row(before):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 3), before, nn.Softmax(1))
    made = plan(model, codes_of(6) / 16)
    assert made.network.classifies
    wanted = model(torch.from_numpy(codes_of(6) / 16).float()).argmax(1).numpy()
    assert (classes(made, codes_of(6)).ravel() == wanted).mean() > 0.95


# -------------------------------------------------------------------------------------------- clamps and scalers


def test_a_clamp_keeps_ends_that_are_small_and_may_come_first():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.Hardtanh(-3e-6, 3e-6), nn.Linear(4, 3))
    model[2].weight.data *= 1e6
    assert own(plan(model, codes_of(6))) < 1e-3
    made = plan(nn.Sequential(nn.Hardtanh(-0.3, 0.3), nn.Linear(6, 3)), input_format="u4/16", activations="4.6")
    assert own(made) < 1e-2


CONSTANTS = {
    "left factor": lambda self, x: self.layer(self.by * x),
    "left term": lambda self, x: self.layer(self.by + x),
    "both": lambda self, x: self.layer(2 * (self.by + x)),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_may_stand_on_the_left(name):
    torch.manual_seed(0)
    model = Written(CONSTANTS[name], by=torch.tensor([0.5, 0.25, 1.5]), layer=nn.Linear(3, 3))
    made = plan(model, codes_of(3), weights="14")
    assert all(row.get("largest_score_difference", 1) < 0.02 for row in made.report["own_forward"])


def images(by: torch.Tensor, **options) -> nn.Module:
    held = {"layer": nn.Conv2d(2, 2, 2, **options), "last": nn.LazyLinear(3), "by": by}
    model = Written(lambda self, x: self.last(self.layer((x - self.by) / self.by).flatten(1)), **held)
    model(torch.zeros(1, 2, 3, 3))
    return model


@pytest.mark.parametrize("padding", [0, 1])
def test_a_scaler_of_each_pixel_is_no_multiplier_of_channels(padding):
    torch.manual_seed(0)
    made = plan(images(torch.rand(2, 3, 3) + 1, padding=padding), codes_of(2, 3, 3))
    assert made.report["data"]["predictions_changed"] <= 2
    assert made.report["data"]["equal_to_reference"] == 80


def test_a_scaler_of_numbers_that_become_an_image_is_one_of_each():
    torch.manual_seed(0)
    by = torch.arange(6.0) + 1
    held = {"by": by, "layer": nn.Conv2d(1, 2, 2), "last": nn.Linear(4, 3)}
    model = Written(lambda self, x: self.last(self.layer((x / self.by).view(-1, 1, 2, 3)).flatten(1)), **held)
    assert plan(model, codes_of(6)).report["data"]["predictions_changed"] <= 2


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_may_be_said_in_a_word(padding):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=padding), nn.ReLU(), nn.Flatten())
    model.append(nn.Linear(18 if padding == "same" else 2, 3))
    assert own(plan(model, codes_of(2, 3, 3))) < 1e-4


def test_what_a_bias_lost_behind_batch_norm_is_told_in_the_module_s_units():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(4)
    norm.weight.data.uniform_(-0.01, 0.01)
    assert own(plan(nn.Sequential(nn.Linear(6, 4), norm, nn.ReLU(), nn.Linear(4, 3)), codes_of(6))) < 1e-6


def test_layers_that_share_weights_are_told_apart():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    model[2].weight = model[0].weight
    assert own(plan(model, input_format="u4/15", activations="6.16", weights="5")) < 1e-3


def test_the_module_s_floating_point_is_not_that_of_its_wires():
    torch.manual_seed(0)
    held = {"luts": LUTLayer(6, 9, n=2), "vote": GroupSum(3), "layer": nn.Linear(3, 6), "step": STE()}
    model = Written(lambda self, x: self.vote(self.luts(self.step(self.layer(x)))), **held)
    assert not next(model.parameters()).is_floating_point()
    assert own(plan(model, codes_of(3) / 16)) == 0


# --------------------------------------------------------------------------------------------------- refusals


def _linear(forward, width: int = 3, **held) -> nn.Module:
    return Written(forward, layer=nn.Linear(width, 3), **held)


def _hooked() -> nn.Module:
    layer = nn.Linear(3, 3)
    layer.register_forward_hook(lambda module, given, result: 2 * result)
    return nn.Sequential(layer)


def _pruned() -> nn.Module:
    layer = nn.Linear(3, 3)
    prune.l1_unstructured(layer, "weight", 0.5)
    return nn.Sequential(layer)


REFUSED = {
    "a hook": (_hooked, (3,), "0: must have no forward hook"),
    "pruning": (_pruned, (3,), "prune.remove(layer, 'weight')"),
    "a clamp to NaN": (
        lambda: Written(lambda self, x: self.layer(x).clamp(math.nan, 1), layer=nn.Linear(3, 3)),
        (3,),
        "must clamp to numbers",
    ),
    "a step on the port": (
        lambda: nn.Sequential(nn.Flatten(), BinaryDiscretizer(), nn.Linear(3, 3)),
        (3, 1),
        "must stand behind a layer that sums",
    ),
    "a mean on the port": (
        lambda: nn.Sequential(dab.BinaryByMean(), nn.Linear(3, 3)),
        (3,),
        "must stand behind a layer that sums",
    ),
    "softmax of an image": (
        lambda: nn.Sequential(nn.Linear(3, 3), nn.Softmax(1), nn.Unflatten(1, (1, 3))),
        (3,),
        "must give one row of scores; got samples of shape (1, 3)",
    ),
    "squeeze": (lambda: _linear(lambda self, x: self.layer(x.squeeze())), (1, 3), "Say x.squeeze(1)"),
    "two samples": (lambda: _linear(lambda self, x: self.layer(x.view(2, -1))), (3,), "must take samples of shape (3)"),
    "one feature made three": (
        lambda: _linear(lambda self, x: self.layer(x - self.by), by=torch.rand(3)),
        (1,),
        "sub in forward",
    ),
    "samples told apart": (
        lambda: _linear(lambda self, x: self.layer(x - self.by), by=torch.rand(2, 3)),
        (3,),
        "sub in forward",
    ),
    "bfloat16": (lambda: nn.Sequential(nn.Linear(3, 3)).bfloat16(), (3,), "got bfloat16. Say model.float()"),
    "uneven padding": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 2, padding="same"), nn.Flatten(), nn.Linear(18, 2)),
        (1, 3, 3),
        "padding must be as much on both sides",
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding")
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_form_is_refused(name):
    make, shape, sentence = REFUSED[name]
    with pytest.raises(DwnHwError) as caught:
        plan(make(), codes_of(*shape), input_shape=",".join(map(str, shape)))
    assert sentence in str(caught.value), caught.value
