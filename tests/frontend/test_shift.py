"""A trained shift network frozen: equal to the live module in float64, where every sum here is exact, and its refusals."""

from __future__ import annotations

import copy
import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import dwn_hw
from dwn_hw import ir
from dwn_hw.errors import CheckpointError, DataError, Mismatch, OptionError
from dwn_hw.exports import planning, prediction
from dwn_hw.exports.options import Options
from dwn_hw.frontend import input_port
from dwn_hw.frontend.integer_networks import against_model, float64_reference, freeze_network, tracing
from dwn_hw.frontend.integer_networks.activation_formats import fixed
from dwn_hw.frontend.integer_networks.input_stage import choose, find_lines
from dwn_hw.frontend.integer_networks.trained_network import FixedPoint, Scaled
from dwn_hw.frontend.trained_dwn import Scaler
from dwn_hw.ir import evaluate, serialize
from dwn_hw.ir.emulate import Emulator
from dwn_hw.ir.sample_files import Samples
from dwn_hw.nn import Conv2dShift, Conv2dShiftQ, LinearShift, LinearShiftQ, convert_to_shift


def randomised(model: nn.Module, seed: int, zeros: float) -> nn.Module:
    """Parameters all over their ranges; of PS layers a part of the weights 0."""
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if hasattr(layer, "shift"):
            layer.shift.data.uniform_(*(layer.shift_range or (-6, 3)), generator=generator)
            signs = torch.rand(layer.sign.shape, generator=generator, dtype=torch.float64) < 0.5
            layer.sign.data = torch.where(signs, -0.9, 0.9)
            layer.sign.data[torch.rand(layer.sign.shape, generator=generator) < zeros] = 0.2
        elif hasattr(layer, "rounded_weight"):
            layer.weight.data.uniform_(-1, 1, generator=generator)
            layer.weight.data[torch.rand(layer.weight.shape, generator=generator) < zeros] = 0
        if getattr(layer, "bias", None) is not None and hasattr(layer, "shift_range"):
            layer.bias.data.uniform_(-2, 2, generator=generator)
    return model.eval()


@st.composite
def cases(draw) -> tuple[nn.Module, tuple[int, ...], np.ndarray]:
    """A network of shift layers in float64, the shape of its samples, and codes of its own activations."""
    act = {"act_integer_bits": draw(st.integers(2, 8)), "act_fraction_bits": draw(st.integers(0, 8))}
    options = {"check_grad": True, "weight_bits": draw(st.sampled_from((None, 2, 3, 5))), **act}
    groups, per_group = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, dilation = draw(pair), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    extent = [
        max(d * (k - 1) + 1, p) + draw(st.integers(0, 3)) for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    shape = (groups * per_group, *extent)
    conv = draw(st.sampled_from((Conv2dShift, Conv2dShiftQ)))(
        *(shape[0], groups * draw(st.integers(1, 2)), kernel),
        stride=draw(pair),
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
        padding_mode=draw(st.sampled_from(("zeros", "circular"))),
        **options,
    )
    layers = [conv, nn.ReLU(), nn.MaxPool2d(1)] if draw(st.booleans()) else [conv]
    width = nn.Sequential(*layers, nn.Flatten())(torch.zeros(1, *shape, dtype=torch.float64)).shape[1]
    linear = draw(st.sampled_from((LinearShift, LinearShiftQ)))(width, draw(st.integers(2, 4)), floored=True, **options)
    model = randomised(
        nn.Sequential(*layers, nn.Flatten(), linear), draw(st.integers(0, 999)), draw(st.sampled_from((0, 0.5, 1)))
    )
    own = FixedPoint.deepshift(**{key.removeprefix("act_"): value for key, value in act.items()}).format
    codes = np.random.default_rng(draw(st.integers(0, 999))).integers(own.low, own.high + 1, (6, *shape))
    codes[0], codes[1] = own.low, own.high
    return model, shape, codes


def scores(network: ir.Network, codes: np.ndarray) -> np.ndarray:
    """Real numbers: the codes before the argmax times their grid."""
    return evaluate.trace(network, codes)[-2] * 2.0 ** network.edges()[-2].formats[0].lsb


@settings(max_examples=60)
@given(case=cases())
def test_the_frozen_network_equals_the_live_module_in_float64(case):
    model, shape, codes = case
    network = dwn_hw.freeze(model, input_shape=",".join(map(str, shape)))
    assert network.input.steps == (str(Fraction(2) ** network.input.formats[0].lsb),)
    x = torch.from_numpy(codes * 2.0 ** network.input.formats[0].lsb)
    assert np.array_equal(scores(network, codes), model(x).detach().numpy())
    assert serialize.loads(serialize.dumps(network)) == network


@settings(max_examples=40)
@given(case=cases(), wide=st.booleans())
def test_the_fast_emulator_equals_evaluate(case, wide):
    model, shape, codes = case
    if wide:  # sums that no double holds
        for layer in (layer for layer in model.modules() if hasattr(layer, "shift")):
            layer.shift_range, layer.shift.data[..., :1] = (-6, 40), 30
    network = dwn_hw.freeze(model, input_shape=",".join(map(str, shape)))
    values = evaluate.trace(network, codes)
    before, after = Emulator(network).run(codes)
    assert np.array_equal(before, values[-2])
    assert np.array_equal(after, values[-1])


class Functional(nn.Module):
    """Functional forms of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = Conv2dShiftQ(1, 3, 3), LinearShiftQ(12, 4)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv(x)), 2, stride=2)
        x = functional.dropout(x, 0.3, training=self.training).view(-1, 12)
        return functional.log_softmax(self.fc(x), dim=1)


class Methods(Functional):
    """The same with methods, and the count of samples read off the tensor."""

    def forward(self, x):
        x = torch.max_pool2d(self.conv(x).relu(), (2, 2))
        return self.fc(torch.flatten(x.reshape(x.size(0), 3, -1), 1)).softmax(-1)


def test_functions_methods_and_modules_of_an_operation_are_one_thing():
    torch.manual_seed(0)
    one = Functional()
    other = Methods()
    other.load_state_dict(one.state_dict())
    third = nn.Sequential(
        *(one.conv, nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(), nn.Flatten(), nn.Identity(), one.fc, nn.LogSoftmax(1))
    )
    networks = [dwn_hw.freeze(model, input_shape="1,6,6") for model in (one, other, third)]
    first, second, last = ([n for n in network.nodes if not isinstance(n, ir.Reshape)] for network in networks)
    assert first == second == last
    assert [type(node).__name__ for node in networks[0].nodes[-3:]] == ["Quantize", "Dense", "ArgMax"]
    assert "log_softmax" in dict(networks[0].notes)["left out"]


def test_freezing_leaves_the_model_as_it_was():
    model = nn.Sequential(LinearShift(4, 3))
    model[0].shift.data += 0.3  # within half a step of the range: the forward pass would clamp it
    before = copy.deepcopy(model.state_dict())
    dwn_hw.freeze(model)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model.training


def test_stochastic_rounding_is_deterministic_when_frozen():
    torch.manual_seed(0)
    one, other = (nn.Sequential(LinearShift(6, 3, rounding=rounding)) for rounding in ("stochastic", "deterministic"))
    other.load_state_dict(one.state_dict())
    assert dwn_hw.freeze(one).nodes == dwn_hw.freeze(other).nodes


def test_a_file_of_samples_is_predicted_as_the_live_model_does():
    model = randomised(Functional(), 3, 0.1)
    pixels = np.random.default_rng(2).integers(0, 256, (40, 1, 6, 6))
    x = pixels / 256.0
    network = dwn_hw.freeze(model, input_format="uQ0.8", input_shape="1,6,6")
    report, (codes, _, classes) = prediction.predict(network, Samples(x, None, None, "x"))
    assert np.array_equal(codes, pixels)
    assert np.array_equal(classes, model.double()(torch.from_numpy(x)).argmax(1).numpy())
    assert (report["samples"], report["rounded"], report["saturated"]) == (40, 0, 0)


class Unsupported(nn.Module):
    """Seven things that no hardware here has."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = Conv2dShift(1, 1, 1), nn.BatchNorm2d(1), nn.GRUCell(16, 2)

    def forward(self, x):
        x = self.norm(torch.abs(x))
        y = functional.dropout((torch.sin(self.conv(x)) - 0.1307) / 0.3081)
        return self.fc((x + y).flatten(1))


def test_everything_unsupported_is_named_at_once_with_what_to_do():
    with pytest.raises(CheckpointError) as caught:
        dwn_hw.freeze(Unsupported(), input_shape="1,4,4")
    text = str(caught.value)
    for sentence in (
        *(
            "got abs",
            "got sub",
            "--normalize MEAN,STD",
            "got truediv",
            "batch norm must stand behind a layer",
            "got sin",
        ),
        *("Say F.dropout(x, training=self.training)", "got add", "one chain", "a layer GRUCell"),
    ):
        assert sentence in text, sentence


class Branching(nn.Module):
    """Returns before its last layer, and decides by values."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.fc = kind, LinearShift(4, 4)

    def forward(self, x):
        if self.kind == "values" and x.sum() > 0:
            return x
        if self.kind == "merged":
            return self.fc(x.view(-1, 2, 4)[:, 0])
        y = self.fc(x)
        if self.kind == "softmax":
            return self.fc(y.softmax(1))
        self.fc(y)
        return y if self.kind == "early" else self.fc(x.view(2, 2, 2))


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("values", "must be traceable by torch.fx"),
        ("early", "must return the result of its last operation"),
        ("softmax", "must come last"),
        ("shapes", "must take samples of shape"),
        ("merged", "forward"),
    ],
)
def test_a_forward_that_is_no_chain_is_refused(kind, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        dwn_hw.freeze(Branching(kind))


# ------------------------------------------------------------------------------------------- weights that are none


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("make", [LinearShift, LinearShiftQ])
def test_weights_that_are_not_finite_are_counted_and_placed(make, value):
    model = nn.Sequential(make(4, 3))
    next(model.parameters()).data[1, 2] = value
    with pytest.raises(CheckpointError, match=r"must be finite numbers; got (nan|inf) at \(1, 2\) \(1 of 12\)"):
        dwn_hw.freeze(model)


def test_a_shift_outside_the_stated_range_is_refused_and_what_the_forward_pass_rounds_into_it_is_not():
    model = nn.Sequential(LinearShift(4, 3, weight_bits=3))
    model[0].sign.data.fill_(1)
    model[0].shift.data.fill_(-2.4)
    dwn_hw.freeze(model)
    model[0].shift.data[2, 1] = -2.6
    with pytest.raises(
        CheckpointError, match=r"shifts must lie in -2…0 \(weight_bits=3\); got -3 at \(2, 1\) \(1 of 12\)"
    ):
        dwn_hw.freeze(model)
    model = nn.Sequential(LinearShiftQ(4, 3, weight_bits=3))
    model[0].weight.data[0, 0] = 3.0
    with pytest.raises(CheckpointError, match=r"shifts must lie in -3…0 .*got 2 at \(0, 0\)"):
        dwn_hw.freeze(model)


@pytest.mark.parametrize(
    ("make", "origin"),
    [
        (LinearShift, "default"),
        (LinearShiftQ, "model but biases"),
        (lambda a, b, **o: LinearShiftQ(a, b, bias=False, **o), "model"),
        (lambda a, b, **o: LinearShift(a, b, floored=True, **o), "model"),
    ],
)
def test_the_model_s_own_format_is_said_only_where_its_forward_rounds_to_it(make, origin):
    """Upstream's help suggests 3 and 5 bits: a linear PS layer does not round to them."""
    torch.manual_seed(0)
    options = {"act_integer_bits": 3, "act_fraction_bits": 5}
    model = nn.Sequential(make(2, 3, **options), nn.ReLU(), make(3, 2, **options)).eval()
    report = dwn_hw_plan(model, "2")
    assert report["activations"]["origin"] == origin
    found = report["own_forward"][-1]
    assert found["codes"] > 2000
    if origin == "model":
        assert (found["predictions_changed"], found["largest_score_difference"]) == (0, 0)
    else:
        assert 0 < found["largest_score_difference"] < 0.05


@pytest.mark.parametrize("kind", ["LinearShift", "LinearShiftQ"])
def test_a_layer_of_upstream_s_own_class_rounds_as_its_class_does(kind):
    """What is frozen is compared with the class's own forward, not with ours of the same name."""

    def forward(self, x):
        if kind == "LinearShift":
            return functional.linear(x, 2.0 ** self.shift.round() * self.sign.round().sign(), self.bias)
        step = torch.floor(x * 32).clamp(-128, 96) / 32
        return step.mm((2.0 ** (self.weight.abs().log() / math.log(2)).round() * self.weight.sign()).t()) + self.bias

    made = type(kind, (nn.Module,), {"__module__": "deepshift.modules", "forward": forward})
    torch.manual_seed(2)
    layers = []
    for inputs, outputs in ((2, 3), (3, 2)):
        layer = made()
        names = ("shift", "sign") if kind == "LinearShift" else ("weight",)
        for name in names:
            setattr(layer, name, nn.Parameter(torch.rand(outputs, inputs) * 2 - 1))
        layer.bias = nn.Parameter(torch.rand(outputs) - 0.5)
        layer.in_features, layer.out_features, layer.shift_range = inputs, outputs, (-14, 0)
        layer.act_integer_bits, layer.act_fraction_bits = 3, 5
        layers.append(layer)
    report = dwn_hw_plan(nn.Sequential(layers[0], nn.ReLU(), layers[1]).eval(), "2")
    assert report["activations"]["origin"] == {"LinearShift": "default", "LinearShiftQ": "model but biases"}[kind]
    assert report["own_forward"][-1]["predictions_changed"] == 0


def test_coarse_formats_that_were_stated_say_what_they_cost_without_data():
    torch.manual_seed(0)
    model = nn.Sequential(LinearShift(4, 8), nn.ReLU(), LinearShift(8, 3)).eval()
    from dwn_hw.exports import planning
    from dwn_hw.exports.options import Options
    from dwn_hw.frontend.integer_networks.trained_network import LiveModel

    report = planning.plan(LiveModel(model, "m"), Options(activations="3.1", input_format="sQ3.8")).report
    assert report["own_forward"][-1]["predictions_changed"] > 10
    assert report["own_forward"][-1]["largest_score_difference"] > 0.1


class Wrapper(nn.Module):
    """A layer of the user's own whose inside nobody knows; ``branching``: nor can it be traced."""

    def __init__(self, branching=False):
        super().__init__()
        self.branching = branching

    def forward(self, x):
        if self.branching and x.sum() > 0:
            return x
        return torch.sin(x) * 2 + torch.cos(x) * x


class Optional(nn.Module):
    """A forward with arguments that have defaults."""

    def __init__(self):
        super().__init__()
        self.one, self.two = LinearShift(4, 3), LinearShift(3, 2)

    def forward(self, x, train=False, scale=None, times=2):
        x = self.one(x)
        if train or scale is not None or times != 2:
            x = x * torch.rand(3)
        return self.two(torch.relu(x))


@pytest.mark.parametrize("branching", [False, True])
def test_unsupported_layers_are_named_each_once_and_not_by_what_they_do_inside(branching):
    model = nn.Sequential(
        LinearShift(4, 3), Wrapper(branching), nn.Hardshrink(), LinearShift(3, 3), Wrapper(branching), LinearShift(3, 2)
    )
    with pytest.raises(CheckpointError) as caught:
        dwn_hw.freeze(model)
    told = [str(problem) for problem in caught.value.problems]
    named = [text for text in told if "a layer Wrapper" in text]
    assert [text.split(": ")[0].rpartition(", ")[2] for text in named] == ["1", "4"]
    assert any("a layer Hardshrink" in text for text in told)
    assert not any(text.startswith(("sin", "mul", "add")) or "no if and no loop" in text for text in told)


def test_arguments_of_forward_with_defaults_have_them():
    torch.manual_seed(0)
    model = Optional().eval()
    plain = nn.Sequential(model.one, nn.ReLU(), model.two)
    assert dwn_hw.freeze(model).nodes == dwn_hw.freeze(plain).nodes


def test_one_integer_bit_is_refused_since_upstream_takes_the_sign_less_1():
    with pytest.raises(CheckpointError, match="act_integer_bits=1, with which DeepShift takes sign"):
        dwn_hw.freeze(nn.Sequential(LinearShiftQ(4, 3, act_integer_bits=1, act_fraction_bits=3)))


def upstream(name: str, **state) -> nn.Module:
    """A layer as an installed DeepShift would give it: its class name and attributes, none of our code."""

    def forward(self, x):
        x = functional.pad(x, (1, 1, 1, 1), mode="circular")
        return functional.conv2d(x, 2.0 ** self.shift.round() * self.sign.round().sign(), self.bias)

    made = type(name, (nn.Module,), {"__module__": "deepshift.modules", "forward": forward})()
    for key, value in state.items():
        setattr(made, key, nn.Parameter(value) if isinstance(value, torch.Tensor) else value)
    return made


def test_upstreams_own_layer_is_read_with_half_of_its_circular_padding():
    torch.manual_seed(0)
    window = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "padding_mode": "circular"}
    weights = {"shift": -torch.rand(2, 1, 3, 3) * 4, "sign": torch.randn(2, 1, 3, 3), "bias": torch.randn(2)}
    layer = upstream("Conv2dShift", padding=(2, 2), **window, **weights)
    network = dwn_hw.freeze(nn.Sequential(layer, nn.Flatten()), input_shape="1,4,4")
    (node,) = (node for node in network.nodes if isinstance(node, ir.Conv2d))
    assert (node.padding, node.padding_mode) == ((1, 1), "circular")
    codes = np.random.default_rng(0).integers(-(1 << 20), 1 << 20, (5, 1, 4, 4))
    bias = torch.floor(layer.bias.double() * 65536) / 65536
    wanted = functional.conv2d(
        functional.pad(torch.from_numpy(codes / 65536.0), (1, 1, 1, 1), mode="circular"),
        2.0 ** layer.shift.detach().round().double() * layer.sign.detach().round().sign(),
        bias,
    )
    assert np.array_equal(scores(network, codes), wanted.flatten(1).detach().numpy())
    layer.padding = (1, 1)
    with pytest.raises(CheckpointError, match="circular padding must be as much on both sides"):
        dwn_hw.freeze(nn.Sequential(layer, nn.Flatten()), input_shape="1,4,4")


# ------------------------------------------------------------------------------------------------- the input's port


@given(
    m=st.integers(-(1 << 20), 1 << 20), b=st.integers(-(1 << 20), 1 << 20), s=st.integers(0, 14), bits=st.integers(2, 8)
)
def test_every_digital_line_is_found_again_with_no_greater_shift(m, b, s, bits):
    codes = np.arange(1 << bits)
    target = codes * m + b >> s
    found = find_lines(codes, [target])
    assert found is not None
    (multiplier,), (bias,), shift = found
    assert np.array_equal(codes * multiplier + bias >> shift, target)
    assert shift <= s


def test_what_is_no_line_is_not_taken_for_one():
    assert find_lines(np.arange(8), [np.array([0, 0, 0, 3, 3, 3, 3, 9])]) is None


@settings(max_examples=25)
@given(
    means=st.lists(st.floats(0.01, 0.99), min_size=2, max_size=2),
    stds=st.lists(st.floats(0.05, 2.0), min_size=2, max_size=2),
    lsb=st.integers(-8, -3),
)
def test_a_normalised_byte_is_exact_for_every_code_and_channel(means, stds, lsb):
    model = tracing.trace(
        nn.Sequential(Conv2dShiftQ(2, 1, 1), nn.Flatten()),
        (2, 1, 1),
        Scaler("standard", np.array(means, "f4"), np.array(stds, "f4")),
    )
    entry = choose(model, fixed(24, True, lsb), input_port.parse("u8/255"))
    if entry.origin == "activations":  # some few normalisations are no line, in float64 neither, and that is said
        assert "no exact line: stated as u8/255" in entry.reason
        return
    codes = np.stack([np.arange(256), np.arange(256)[::-1]], axis=1).reshape(256, 2, 1, 1)
    got = evaluate.evaluate(ir.Network(entry.port, entry.nodes), codes)
    assert (entry.origin, entry.port.formats) == ("stated", (ir.Format(8),))
    kind = entry.kind
    x = codes.reshape(256, 2).astype(kind) / kind(255)
    normalised = (x - np.array(means, "f4").astype(kind)) / np.array(stds, "f4").astype(kind)
    wanted = np.floor(normalised.astype(np.float64) * 2.0**-lsb + 0.5)
    assert np.array_equal(got.reshape(256, 2), wanted)
    assert kind is np.float32 or entry.moved <= 4


def test_without_a_stated_port_the_data_says_it_and_else_it_carries_the_activations():
    model = nn.Sequential(LinearShift(3, 2))
    x = np.random.default_rng(0).integers(0, 200, (50, 3))
    network = dwn_hw.freeze(model, x=x)
    assert (network.input.formats, network.input.steps) == ((ir.Format(8),), ("1",))
    network = dwn_hw.freeze(model)
    assert (network.input.formats[0], network.input.steps) == (ir.Format(32, True, -16), ("1/65536",))
    assert len([n for n in network.nodes if isinstance(n, ir.Quantize)]) == 1  # 16.16 ends a little below 32 bits
    network = dwn_hw.freeze(model, input_format="sQ3.4")
    assert (network.input.formats[0], len(network.nodes)) == (ir.Format(8, True, -4), 3)


# ------------------------------------------------------------------------------------------------------- batch norm


def normed(scale: list[float], offset: list[float]) -> nn.Module:
    """A convolution and a batch norm of two channels in use, which multiplies and adds as given."""
    norm = nn.BatchNorm2d(2, eps=0.0)
    norm.weight.data, norm.bias.data = torch.tensor(scale), torch.tensor(offset)
    model = nn.Sequential(Conv2dShift(1, 2, 2), norm, nn.ReLU(), nn.Flatten(), LinearShift(18, 3, floored=True))
    return randomised(model, 5, 0.2)


def test_batch_norm_by_powers_of_two_is_folded_and_exact():
    model = normed([0.5, -4.0], [0.25, -1.0])
    network = dwn_hw.freeze(model, input_shape="1,4,4")
    assert not any(isinstance(node, ir.Affine) for node in network.nodes)
    codes = np.random.default_rng(0).integers(-(1 << 19), 1 << 19, (8, 1, 4, 4))
    wanted = copy.deepcopy(model).double()(torch.from_numpy(codes / 65536.0)).detach().numpy()
    assert np.array_equal(scores(network, codes), wanted)


def test_other_batch_norm_becomes_an_affine_as_close_as_its_multiplier():
    model = normed([0.37, -1.21], [0.11, 0.5])
    report = dwn_hw_plan(model, "1,4,4")
    (norm,) = report["norms"]
    assert norm["multiplier_error"] < 2.0**-14
    network = dwn_hw.freeze(model, input_shape="1,4,4")
    assert [type(n).__name__ for n in network.nodes if isinstance(n, ir.Affine)] == ["Affine"]
    codes = np.random.default_rng(0).integers(-(1 << 19), 1 << 19, (8, 1, 4, 4))
    wanted = copy.deepcopy(model).double()(torch.from_numpy(codes / 65536.0)).detach().numpy()
    assert np.abs(scores(network, codes) - wanted).max() < 0.02
    assert report["checked"]["scores"] > 0


def dwn_hw_plan(model, shape, **options):
    """The report of a plan."""
    from dwn_hw.frontend.integer_networks.trained_network import LiveModel

    return planning.plan(LiveModel(model, "a test"), Options(input_shape=shape, **options)).report


# --------------------------------------------------------------------------------------------- formats and their cost


def course_net() -> nn.Module:
    """A net whose layers round no activations, as the course's."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))
    return convert_to_shift(model, 2, "Q", act_integer_bits=None, act_fraction_bits=None)[0].eval()


def test_a_model_without_formats_gets_them_from_data_and_says_so():
    x = np.random.default_rng(1).normal(size=(300, 16)).astype("f4")
    y = course_net()(torch.from_numpy(x)).argmax(1).numpy()
    without = dwn_hw.freeze(course_net())
    assert without.input.formats[0].bits == 32
    network = dwn_hw.freeze(course_net(), x=x, y=y)
    widths = [
        node.output(edge).formats[0].bits
        for node, edge in zip(network.nodes, network.edges(), strict=False)
        if isinstance(node, ir.Quantize)
    ]
    assert widths == [16]
    assert network.input.formats[0].bits == 16
    _, got = Emulator(network).run(np.rint(x / 2.0 ** network.input.formats[0].lsb).astype(int))
    assert (got == y).mean() > 0.99


def test_an_activation_format_too_narrow_is_refused_with_an_example():
    x = np.random.default_rng(1).normal(size=(40, 16)).astype("f4")
    x[7, 3] = 9.5
    with pytest.raises(DataError) as caught:
        dwn_hw.freeze(course_net(), x=x, activations="4.8")
    problem = caught.value.problems[0]
    assert problem.thing == "0"
    assert "activations within -8…7" in problem.rule
    assert problem.got == "9.5 for sample 7 of x (1 such activations)"
    assert "at least 5 integer bits" in problem.remedy
    dwn_hw.freeze(course_net(), x=x, activations="6.8")


@pytest.mark.parametrize("text", ["8", "0.8", "17.16", "4,8", "-1.3"])
def test_a_format_that_is_none_is_refused(text):
    with pytest.raises(OptionError, match="--activations: integer bits"):
        dwn_hw.freeze(course_net(), activations=text)


def test_sums_that_no_double_holds_are_told_apart_and_not_compared():
    model = tracing.trace(
        nn.Sequential(LinearShift(4, 2, act_integer_bits=30, act_fraction_bits=2, floored=True)), (4,)
    )
    weights = np.array([[1, 2.0**-14, 2.0**-30, 1], [1, 1, 1, 1]])
    layer = dataclasses.replace(model.layers[0], weights=weights, low=-30)
    model, formats = dataclasses.replace(model, steps=(layer,)), (layer.own,)
    _, exact = float64_reference.run(model, formats, np.array([[1.0] * 4, [2.0**28] * 4]))
    assert exact.tolist() == [True, False]


def test_a_network_that_differs_in_one_weight_is_a_mismatch():
    model = tracing.trace(randomised(nn.Sequential(LinearShift(4, 3, floored=True)), 1, 0), (4,))
    formats = (model.layers[0].own,)
    entry = choose(model, formats[0], None)
    network = freeze_network.freeze(model, entry, formats)
    codes = np.random.default_rng(0).integers(-(1 << 18), 1 << 18, (20, 4))
    wanted, exact = float64_reference.run(model, formats, entry.values(model, codes))
    assert against_model.equal(network, codes, wanted, exact) == 60
    (at,) = (i for i, node in enumerate(network.nodes) if isinstance(node, ir.Dense))
    node = network.nodes[at]
    wrong = dataclasses.replace(node, weights=(*node.weights[:5], -node.weights[5], *node.weights[6:]))
    faulty = dataclasses.replace(network, nodes=(*network.nodes[:at], wrong, *network.nodes[at + 1 :]))
    with pytest.raises(Mismatch, match=r"score 1 of sample 0: torch in float64 gives .*\(20 of 60 differ\)"):
        against_model.equal(faulty, codes, wanted, exact)


def test_a_norm_that_shrinks_everything_to_nothing_is_still_whole():
    norm = freeze_network.Norm.of(Scaled("norm", np.zeros(2), np.array([1.5, -0.25])), -4)
    assert norm.multipliers == (0, 0)
    assert [b >> norm.shift for b in norm.biases] == [24, -4]
