"""Trained networks of layers whose weights are rounded, and of steps: frozen, they are the module with those weights."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from trained_steps import STEPS, every_code, quarters, scores, through, with_weights_of

import dwn_hw
from dwn_hw import ir
from dwn_hw.errors import CheckpointError, DataError, DwnHwError, OptionError
from dwn_hw.frontend.integer_networks import freeze_and_compare
from dwn_hw.frontend.integer_networks.trained_network import LiveModel
from dwn_hw.ir import evaluate
from dwn_hw.ir.sample_files import Samples
from dwn_hw.nn import (
    STE,
    BinaryDiscretizer,
    DistributiveThermometer,
    GroupSum,
    LUTLayer,
    MultiDiscretizer,
    StraightThroughWrapper,
    dab,
)


@pytest.mark.parametrize("bits", ["8", "3"])
@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_the_module_with_the_rounded_weights_for_every_code(name, bits):
    model = through(name)
    exact = not any(word in name for word in ("sort", "first", "columns", "vectors"))
    formats = {} if exact else {"activations": "8.12"}
    network = dwn_hw.freeze(model, input_format="u4/16", weights=bits, **formats)
    codes = every_code(3, 4)
    rounded = with_weights_of(network, model)
    if name == "mean" or not exact:
        rounded = rounded.double()
    x = torch.from_numpy(codes / 16).to(rounded[0].weight.dtype)
    # The port's step is in the first layer's weights: the network's own are a sixteenth of the module's.
    rounded[0].weight.data *= 16
    with torch.no_grad():
        wanted = rounded(x).double().numpy()
    got = scores(network, codes)
    apart = np.abs(got - wanted)
    lsb = 2.0 ** network.scores_edge.formats[0].lsb
    assert apart.max() <= (lsb / 2 if name == "means" else 1e-5), apart.max()
    assert len(np.unique(got, axis=0)) > 2


def test_a_threshold_lies_between_two_codes_at_which_the_module_differs():
    model = through("levels")
    network = dwn_hw.freeze(model, input_format="u4/16")
    (node,) = (n for n in network.nodes if isinstance(n, ir.MultiThreshold))
    lsb, rounded = 2.0 ** network.edges()[1].formats[0].lsb, with_weights_of(network, model)
    tried = 0
    for channel, row in enumerate(node.thresholds):
        for threshold in row:
            sums = torch.tensor([[threshold - 1.0], [threshold]], dtype=torch.float64) * lsb
            before = sums.float() + rounded[0].bias[channel].detach()
            low, high = rounded[2].discretizer(rounded[1](before)).flatten().tolist()
            assert low != high
            tried += 1
    assert tried >= 12


# ---------------------------------------------------------------------------------------------- scalers and folding


class Inside(nn.Module):
    """A network whose forward begins with a normalisation."""

    def __init__(self, kind: str, images: bool) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("mean", torch.tensor([3.0, 1.0]).reshape(2, *[1] * (2 * images)))
        self.register_buffer("scale", torch.tensor([0.5, 0.3]).reshape(2, *[1] * (2 * images)))
        self.norm = (nn.BatchNorm2d if images else nn.BatchNorm1d)(2)
        self.norm.running_mean.copy_(torch.tensor([3.0, 1.0]))
        self.norm.running_var.copy_(torch.tensor([0.5, 0.3]))
        self.layer = nn.Conv2d(2, 4, 2) if images else nn.Linear(2, 4)
        self.last = nn.Linear(16 if images else 4, 2)

    def forward(self, x):
        match self.kind:
            case "standard":
                x = (x - self.mean) / self.scale
            case "minmax":
                x = x * self.scale + self.mean
            case "chain":
                x = (x / 15 - 0.25).div(self.scale)
            case "norm":
                x = self.norm(x)
        return self.last(torch.relu(self.layer(x)).flatten(1))


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("kind", ["standard", "minmax", "chain", "norm"])
def test_a_normalisation_in_forward_goes_into_the_first_layer_s_weights(kind, images):
    torch.manual_seed(1)
    model = Inside(kind, images).eval()
    shape = (2, 3, 3) if images else (2,)
    codes = np.random.default_rng(0).integers(0, 16, (300, *shape))
    report = plan(model, Samples(codes.astype(np.float32), None, None, "x"), weights="12").report
    assert "in the first layer's weights" in report["input"]["reason"] or kind == "none"
    assert not any("Affine" in line for line in report["network"])
    rounded, trained = report["own_forward"]
    assert rounded["largest_score_difference"] < 2e-3
    assert trained["largest_score_difference"] < 0.1
    assert report["data"]["predictions_changed"] <= 3


def plan(model: nn.Module, samples: Samples | None = None, **options) -> freeze_and_compare.Frozen:
    return freeze_and_compare.plan(
        LiveModel(model, "m"), freeze_and_compare.Asked(**options), samples, lambda text: None
    )


def test_a_normalisation_before_a_padded_convolution_is_a_multiplier_of_its_own():
    model = Inside("standard", True).eval()
    model.layer, model.last = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(36, 2)
    x = np.random.default_rng(0).integers(0, 16, (50, 2, 3, 3)).astype(np.float32)
    report = plan(model, Samples(x, None, None, "x")).report
    assert any("Affine" in line for line in report["network"])
    assert report["input"]["codes_checked"] == 32


def test_batch_norm_behind_a_layer_whose_weights_are_rounded_has_no_multiplier():
    torch.manual_seed(2)
    layers = [
        nn.Conv2d(1, 4, 3, groups=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2),
    ]
    model = nn.Sequential(*layers, nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 2))
    for norm in (model[1], model[4]):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.uniform_(-1, 1)
    x = np.random.default_rng(0).integers(0, 16, (60, 1, 4, 4)).astype(np.float32)
    made = plan(model.eval(), Samples(x, None, None, "x"), weights="14")
    assert not any(isinstance(node, ir.Affine) for node in made.network.nodes)
    rounded, trained = made.report["own_forward"]
    assert rounded["largest_score_difference"] < 1e-2
    assert trained["largest_score_difference"] < 3e-2


# --------------------------------------------------------------------------------------------- weights and formats


def test_the_bits_of_weights_are_those_of_each_layer():
    network = dwn_hw.freeze(through("ste"), input_format="u4/16", weights="3,5")
    dense = [node for node in network.nodes if isinstance(node, ir.Dense)]
    assert [max(map(abs, node.weights)) <= most for node, most in zip(dense, (3, 15), strict=True)] == [True, True]
    assert max(map(abs, dense[1].weights)) > 7
    signs = dwn_hw.freeze(through("ste"), input_format="u4/16", weights="1")
    assert {abs(w) for node in signs.nodes if isinstance(node, ir.Dense) for w in node.weights} == {1}


def test_more_bits_of_weights_are_nearer_to_the_model():
    model = through("signum", 3)
    found = [plan(model, weights=bits, input_format="u4/16").report["weights"] for bits in ("2", "4", "8", "12")]
    errors = [[row["rounding_error"] for row in rows] for rows in found]
    assert all(a > b for one, other in itertools.pairwise(errors) for a, b in zip(one, other, strict=True))
    assert errors[-1][0] < 1e-3


def test_formats_that_cost_many_predictions_are_warned_of():
    torch.manual_seed(11)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3)).eval()
    fine, coarse = (plan(model, input_format="u5/32", activations=text).report for text in ("1.7", "1.1"))
    assert fine["warnings"] == []
    (told,) = coarse["warnings"]
    assert "predictions are not those of the module with the rounded weights" in told


def test_a_smooth_function_is_a_table_on_the_grid_of_the_next_layer():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 2)).eval()
    network = dwn_hw.freeze(model, input_format="u5/32", activations="2.6", weights="10")
    codes = every_code(2, 5)
    rounded = with_weights_of(network, model).double()
    rounded[0].weight.data *= 32
    x = torch.from_numpy(codes / 32)
    with torch.no_grad():
        for layer in rounded:
            x = layer(x)
            if isinstance(layer, nn.Tanh | nn.GELU):
                x = torch.floor(x * 64).clamp(-128, 64) / 64
    assert np.abs(scores(network, codes) - x.numpy()).max() < 1e-2
    with pytest.raises(
        OptionError, match=r"1: a format for the values of a smooth function; got Tanh.*Give samples, --data"
    ):
        dwn_hw.freeze(model, input_format="u5/32")
    with pytest.raises(OptionError, match="at most 10 bits behind a smooth function"):
        dwn_hw.freeze(model, input_format="u5/32", activations="4.8")


def test_activations_of_levels_are_kept_where_formats_are_searched_for():
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 16), nn.Sigmoid(), StraightThroughWrapper(nn.Linear(16, 8), BinaryDiscretizer()))
    model = nn.Sequential(*model, nn.ReLU(), nn.Linear(8, 2)).eval()
    x = np.random.default_rng(0).integers(0, 256, (1500, 4)).astype(np.float32)
    y = model(torch.from_numpy(x)).argmax(1).numpy()
    made = plan(model, calibrate=Samples(x, None, y, "x"), max_drop=0.1, weights="12")
    bits = [row["bits"] for row in made.report["activations"]["layers"]]
    assert bits[:2] == [8, 1]
    assert 2 <= bits[2] <= 16
    assert made.report["calibration"]["met"]
    made = plan(model, calibrate=Samples(x, None, y, "x"), max_drop=0.1)
    bits = [row["bits"] for row in made.report["weights"]]
    assert made.report["calibration"]["met"]
    assert made.report["calibration"]["taken"]["weights"] == bits
    assert min(bits) < 8


# ------------------------------------------------------------------------------------------ networks without classes


def test_a_network_that_ends_in_an_image_gives_numbers():
    torch.manual_seed(6)
    model = nn.Sequential(
        nn.ConvTranspose2d(3, 2, 3, stride=2), nn.ReLU(), nn.ConvTranspose2d(2, 1, 2), nn.Tanh()
    ).eval()
    x = every_code(3, 1).reshape(-1, 3, 1, 1)
    made = plan(model, Samples(x.astype(np.float32), None, None, "x"), weights="10")
    assert not made.network.classifies
    assert made.network.output.shape == (1, 4, 4)
    rounded = with_weights_of(made.network, model)
    with torch.no_grad():
        wanted = rounded(torch.from_numpy(x).float()).numpy()
    assert np.abs(scores(made.network, x) - wanted).max() < 1 / 128
    assert "predictions_changed" not in made.report["data"]
    assert made.report["data"]["mean_square_difference"] < 1e-4


def test_one_row_of_sums_is_scores_unless_numbers_are_asked_for():
    model, codes = through("ste"), every_code(3, 4)
    classes, numbers = (dwn_hw.freeze(model, input_format="u4/16", numbers=asked) for asked in (False, True))
    assert (classes.classifies, numbers.classifies) == (True, False)
    assert classes.nodes == (*numbers.nodes, ir.ArgMax())
    assert np.array_equal(scores(classes, codes), scores(numbers, codes))


def test_rows_of_scores_give_a_place_each_and_one_row_a_class():
    torch.manual_seed(7)

    class Order(nn.Module):
        """Scores of each place; ``rows``: whether there are several."""

        def __init__(self, rows: bool) -> None:
            super().__init__()
            self.layer, self.rows = nn.Linear(3, 9), rows

        def forward(self, x):
            x = self.layer(x)
            return (x.unflatten(1, (3, 3)) if self.rows else x).argmax(-1)

    codes = every_code(3, 4)
    for rows in (True, False):
        model = Order(rows).eval()
        network = dwn_hw.freeze(model, input_format="u4", weights="6")
        assert network.classifies == (not rows)
        layer = with_weights_of(network, model)
        wanted = layer(torch.from_numpy(codes).float()).numpy()
        assert np.array_equal(evaluate.trace(network, codes)[-1], wanted)


# -------------------------------------------------------------------------------------------- DWN's layers behind sums


@pytest.mark.parametrize("bits", [1, 3])
def test_look_up_tables_behind_sums_are_those_of_the_module(bits):
    torch.manual_seed(10)
    generator = torch.Generator().manual_seed(3)
    step: list[nn.Module] = [nn.Sigmoid(), BinaryDiscretizer()]
    if bits > 1:
        thresholds = torch.randn(8, bits, generator=generator)  # in no order
        thermometer = DistributiveThermometer(bits).fit(torch.randn(9, 8))
        thermometer.thresholds.copy_(thresholds)
        step = [nn.Tanh(), thermometer, nn.Flatten()]
    layers = [LUTLayer(8 * bits, 12, n=3), nn.Linear(12, 6), STE(), LUTLayer(6, 9, n=2), GroupSum(3, tau=2.5)]
    model = nn.Sequential(nn.Linear(3, 8), *step, *layers).eval()
    made = plan(model, input_format="u4/4", weights="8")
    network, codes = made.network, every_code(3, 4)
    rounded = with_weights_of(network, model)
    rounded[0].weight.data *= 4
    with torch.no_grad():
        wanted = rounded(torch.from_numpy(codes / 4).float()).numpy()
    assert np.allclose(scores(network, codes) / 2.5, wanted)
    assert len(np.unique(wanted, axis=0)) > 4
    assert made.report["own_forward"][0]["largest_score_difference"] < 1e-6


# ------------------------------------------------------------------------------------------------- pasted classes


def pasted(name: str, forward, **state) -> nn.Module:
    made = type(name, (nn.Module,), {"forward": forward})()
    for key, value in state.items():
        setattr(made, key, nn.Parameter(value) if isinstance(value, torch.Tensor) else value)
    return made


def notebook_levels(self, x):
    distances = -torch.exp(self.alpha) * (x.unsqueeze(-1) - self.offsets) ** 2
    return self.offsets[distances.argmax(-1)]


PASTED = {
    "BinaryDiscretizer": (lambda self, x: (x > 0.5).float(), lambda self, x: (x >= 0.5).float(), {}),
    "StraightThroughEstimator": (lambda self, x: (x > 0).float(), lambda self, x: torch.sign(x), {}),
    "SignumWithMargin": (
        lambda self, x: torch.where(x.abs() <= self.eps, 0.0, x.sign()),
        lambda self, x: torch.where(x.abs() < self.eps, 0.0, x.sign()),
        {"eps": 0.5},
    ),
    "MultiDiscretizer": (
        notebook_levels,
        lambda self, x: self.offsets[(x.unsqueeze(-1) - self.offsets).abs().argmin(-1)],
        {"offsets": quarters(0.0, 0.5, 1.0), "alpha": quarters(0.0, 1.0, 0.5)},
    ),
    "BinaryByMean": (
        lambda self, x: (x >= x.mean(1, keepdim=True)).float(),
        lambda self, x: (x > x.mean(1, keepdim=True)).float(),
        {},
    ),
}


@pytest.mark.parametrize("name", PASTED)
def test_a_pasted_class_is_taken_where_it_behaves_as_its_name_says(name):
    right, wrong, state = PASTED[name]
    torch.manual_seed(8)
    around = [nn.Linear(2, 4), nn.Linear(4, 2)]
    model = nn.Sequential(around[0], pasted(name, right, **state), around[1]).eval()
    assert dwn_hw.freeze(model, input_format="u4/8").classifies
    other = nn.Sequential(around[0], pasted(name, wrong, **state), around[1]).eval()
    with pytest.raises(CheckpointError, match=r"must behave as|something else on probes"):
        dwn_hw.freeze(other, input_format="u4/8")


@pytest.mark.parametrize("kind", [BinaryDiscretizer, STE, dab.BinaryByMean, dab.Sort])
def test_a_class_that_inherits_ours_and_does_something_else_is_refused(kind):
    """Of the same name, so that nothing but its behaviour tells it apart."""
    made = type(kind.__name__, (kind,), {"forward": lambda self, x: (x > 0.25).float() * 2, "__module__": "theirs"})
    model = nn.Sequential(nn.Linear(2, 4), made(4) if kind is dab.Sort else made(), nn.Linear(4, 2)).eval()
    with pytest.raises(CheckpointError, match=r"must behave as|something else on probes|must be the layer of dwn_hw"):
        dwn_hw.freeze(model, input_format="u4/8")


# ------------------------------------------------------------------------------------------------------ bad input


def refused(step: nn.Module, *before: nn.Module) -> str:
    torch.manual_seed(9)
    model = nn.Sequential(nn.Linear(2, 4), *before, step, nn.Linear(4, 2)).eval()
    with pytest.raises(DwnHwError) as caught:
        dwn_hw.freeze(model, input_format="u4/8")
    return str(caught.value)


def levels_of(**changed: float) -> MultiDiscretizer:
    made = MultiDiscretizer(3, quarters(0.0, 0.5, 1.0))
    for name, value in changed.items():
        getattr(made, name).data[1] = value
    return made


def means_of(value: float) -> dab.KMeans:
    made = dab.KMeans(3)
    made.centroids[1] = value
    return made


BAD = {
    "offsets that are NaN": (lambda: levels_of(offsets=math.nan), "MultiDiscretizer offsets, finite numbers; got nan"),
    "equal offsets": (lambda: levels_of(offsets=0.0), "MultiDiscretizer offsets, no two equal"),
    "alpha": (lambda: levels_of(alpha=math.inf), "MultiDiscretizer alpha, finite numbers; got inf"),
    "an empty cell": (lambda: means_of(-1.0), "KMeans centroids, no two equal"),
    "a centroid that is NaN": (lambda: means_of(math.nan), "KMeans centroids, finite numbers"),
    "no seed": (lambda: dab.Bernoulli(), "Bernoulli in eval mode: a seed, to give the same bits again; got none"),
    "another shape": (lambda: dab.Sort(5), "input of Sort: of shape (samples, 5); got shape (2, 4)"),
    "a pasted draw": (
        lambda: pasted("Bernoulli", lambda self, x: (x > 0.5).float()),
        "of dwn_hw.nn.dab, whose bits follow from a seed; got another class",
    ),
    "a pasted sort": (
        lambda: pasted("Sort", lambda self, x: x.sort(1).values),
        "must be the layer of dwn_hw.nn.dab; got another class of that name",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_means_nothing_is_said_in_a_sentence(what):
    make, sentence = BAD[what]
    assert sentence in refused(make()), refused(make())


def test_random_bits_are_the_nearer_of_0_and_1_where_that_is_asked():
    asked = dwn_hw.freeze(through("dice"), input_format="u4/16", deterministic=True)
    model = through("dice")
    model[2][0].deterministic = True
    assert asked.nodes == dwn_hw.freeze(model, input_format="u4/16").nodes
    assert asked.nodes != dwn_hw.freeze(through("dice"), input_format="u4/16").nodes
    with pytest.raises(OptionError, match="--deterministic: a network with Bernoulli bits; got none"):
        dwn_hw.freeze(through("ste"), input_format="u4/16", deterministic=True)


def test_too_many_or_too_few_are_refused_where_the_layer_is_made():
    with pytest.raises(OptionError, match="TopK k: at most as many as are sorted, 4; got 5"):
        dab.TopK(5, 4)
    with pytest.raises(OptionError, match="KMeans k"):
        dab.KMeans(1)


def test_a_step_before_any_layer_and_numbers_that_are_none_are_refused():
    with pytest.raises(CheckpointError, match="must stand behind a layer that sums; got none before it"):
        dwn_hw.freeze(nn.Sequential(STE(), nn.Linear(2, 2)).eval(), input_format="u4")
    model = through("ste")
    model[0].weight.data[0, 0] = math.nan
    with pytest.raises(CheckpointError, match=r"0.weight: must be finite numbers; got nan at \(0, 0\) \(1 of 18\)"):
        dwn_hw.freeze(model, input_format="u4")


@pytest.mark.parametrize("text", ["0", "25", "8,8,8", "a", ""])
def test_bits_of_weights_that_are_none_are_refused(text):
    with pytest.raises(OptionError, match="--weights: bits of 1 to 24, for all layers or for each of 2"):
        dwn_hw.freeze(through("ste"), input_format="u4/16", weights=text)


def test_sums_that_are_too_wide_say_which_width_they_need():
    model = nn.Sequential(nn.Linear(1 << 10, 2)).eval()
    with pytest.raises(DwnHwError, match=r"sums of at most 62 bits; got 6\d bits"):
        dwn_hw.freeze(model, input_format="s32", weights="24")


def test_samples_to_calibrate_by_need_classes():
    model = nn.Sequential(nn.Linear(2, 4), nn.Unflatten(1, (2, 2))).eval()
    samples = Samples(np.random.default_rng(0).integers(0, 9, (400, 2)).astype(np.float32), None, None, "x")
    with pytest.raises(DataError, match="--calibrate: a network that gives classes"):
        plan(model, calibrate=samples)
