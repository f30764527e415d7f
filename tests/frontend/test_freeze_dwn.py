"""The central claim: for every code that a port can carry, the frozen comparison is the model's own.

The model's arithmetic is written here again, one number at a time, in numpy scalars of the model's own types, and for
some in torch. Nothing of :mod:`dwn_hw.frontend.freeze_dwn` or :mod:`dwn_hw.frontend.trained_dwn` is used on that side.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import CheckpointError, Mismatch
from dwn_hw.frontend import freeze_dwn, input_port
from dwn_hw.frontend.trained_dwn import Scaler, TrainedDwn, TrainedGroupSum, TrainedLutLayer
from dwn_hw.ir import evaluate

FLOATS = [np.float32, np.float64]


def model_of(thresholds: np.ndarray, scaler: Scaler | None = None) -> TrainedDwn:
    """A model around an encoder: each LUT passes one thermometer bit on."""
    bits = thresholds.size
    mapping = np.arange(bits)[:, None]
    layer = TrainedLutLayer(mapping, np.tile(np.array([0, 1], np.uint8), (bits, 1)))
    return TrainedDwn(thresholds, scaler, (layer,), TrainedGroupSum(bits, 1.0), source="a test")


def own_bits(model: TrainedDwn, source: ir.Input, code: int) -> list[list[bool]]:
    """The model's comparisons for one code in every feature, in plain numpy scalars."""
    kind = model.thresholds.dtype.type
    features = len(model.thresholds)
    rows = []
    with np.errstate(all="ignore"):
        for f, row in enumerate(model.thresholds):
            step, offset = (Fraction(v[f if len(v) == features > 1 else 0]) for v in (source.steps, source.offsets))
            real = np.float64(float(step * code + offset))
            scaler = model.scaler
            if scaler is None:
                value = kind(real)
            else:
                own = scaler.offset.dtype.type
                at = f if scaler.offset.size > 1 else 0
                by = f if scaler.factor.size > 1 else 0
                value = own(real)
                if scaler.kind == "standard":
                    value = own(own(value - scaler.offset[at]) / scaler.factor[by])
                else:
                    value = own(own(value * scaler.factor[by]) + scaler.offset[at])
                if scaler.clip is not None:
                    value = min(max(value, own(scaler.clip[0])), own(scaler.clip[1]))
                value = kind(value)
            rows.append([bool(value > t) for t in row])
    return rows


def hold_for_every_code(model: TrainedDwn, port: input_port.Port) -> ir.Network:
    network = freeze_dwn.freeze_dwn(model, port)
    source = network.input
    fmt = source.formats[0]
    codes = np.arange(fmt.low, fmt.high + 1)
    frozen = evaluate.apply(network.nodes[0], np.repeat(codes[:, None], len(model.thresholds), axis=1))
    for code, got in zip(codes.tolist(), frozen.tolist(), strict=True):
        wanted = [int(bit) for row in own_bits(model, source, code) for bit in row]
        assert got == wanted, f"code {code}"
    return network


@st.composite
def ports(draw: st.DrawFn) -> input_port.Port:
    text = draw(st.sampled_from(["u1", "u6", "s7", "u8/255", "u6*0.1", "sQ2.5", "u5/31", "s4*1000000", "u7/100000000"]))
    return input_port.parse(text)


@st.composite
def models(draw: st.DrawFn, port: input_port.Port) -> TrainedDwn:
    """Thresholds on, beside and far from the points of the grid; scalers of every form, type and size."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, own = draw(st.sampled_from(FLOATS)), draw(st.sampled_from(FLOATS))
    features, bits = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    fmt, step = port.formats[0], float(port.steps[0])
    scaler = None
    form = draw(st.sampled_from([None, "standard", "minmax"]))
    shared = 1 if draw(st.booleans()) else features
    if form is not None:
        size = draw(st.sampled_from([1.0, 0.3, 1e-30, 1e30, 1e-45 if own is np.float32 else 5e-324]))
        offset = rng.normal(size=shared) * draw(st.sampled_from([0.0, step, 1.0, 1e20]))
        factor = np.maximum(rng.uniform(0.5, 2.0, shared) * size, float(np.finfo(own).smallest_subnormal))
        clip = draw(st.sampled_from([None, (0.0, 1.0), (-1.0, 0.1)])) if form == "minmax" else None
        scaler = Scaler(form, offset.astype(own), factor.astype(own), clip)
    codes = rng.integers(fmt.low - 2, fmt.high + 3, (bits, features))
    on_grid = (codes * step).astype(np.float64)
    with np.errstate(all="ignore"):
        scaled = (on_grid if scaler is None else scaler.apply(on_grid)).astype(kind).T
        moves = rng.integers(0, 4, scaled.shape)
        thresholds = np.select(
            [moves == 0, moves == 1, moves == 2],
            [np.nextafter(scaled, kind(-np.inf)), np.nextafter(scaled, kind(np.inf)), scaled],
            rng.normal(size=scaled.shape).astype(kind),
        )
    thresholds = np.nan_to_num(thresholds.astype(kind))
    if draw(st.booleans()):
        thresholds[:, -1] = thresholds[:, 0]
    return model_of(np.sort(thresholds, axis=1) if draw(st.booleans()) else thresholds, scaler)


@settings(max_examples=250)
@given(draw=st.data(), port=ports())
def test_every_code_of_every_port_compares_as_the_model_does(draw, port):
    hold_for_every_code(draw.draw(models(port)), port)


@pytest.mark.parametrize("kind", FLOATS)
def test_a_threshold_on_a_grid_point_is_strict(kind):
    """``x > t`` at the point itself is false: the frozen threshold is the next code."""
    port = input_port.parse("u10/1023")
    points = (np.arange(1024) / 1023).astype(kind).reshape(1, 1024)
    network = hold_for_every_code(model_of(points[:, ::37]), port)
    assert network.nodes[0].thresholds == (tuple(range(1, 1025, 37)),)


@pytest.mark.parametrize("kind", FLOATS)
def test_thresholds_outside_the_range_become_constants(kind):
    huge = np.finfo(kind).max
    network = hold_for_every_code(model_of(np.array([[-huge, -1.0, 255.0, 256.0, huge]], kind)), input_port.parse("u8"))
    assert network.nodes[0].thresholds == ((0, 0, 256, 256, 256),)


def test_infinite_thresholds_are_constants_too():
    network = hold_for_every_code(model_of(np.array([[-np.inf, np.inf]])), input_port.parse("u8"))
    assert network.nodes[0].thresholds == ((0, 256),)


@pytest.mark.parametrize("kind", FLOATS)
def test_subnormal_thresholds_and_steps_are_exact(kind):
    tiny = np.finfo(kind).smallest_subnormal
    model = model_of(np.array([[-tiny, 0.0, tiny, tiny * 3]], kind))
    hold_for_every_code(model, input_port.parse("s8"))
    step = Fraction(float(tiny) if kind is np.float32 else 2.0**-900)
    port = input_port.Port((ir.Format(8, True),), (step,), (Fraction(0),), "stated", "a tiny grid")
    hold_for_every_code(model, port)


@pytest.mark.parametrize("form", ["standard", "minmax"])
@pytest.mark.parametrize("own", FLOATS)
def test_overflow_in_the_scaler_keeps_the_order(form, own):
    """Sums and quotients beyond the type's range become infinite, on the right side."""
    big = np.finfo(own).max
    factor = np.array([1 / big if form == "standard" else big], own)
    for offset in (-big, 0.0, big):
        scaler = Scaler(form, np.array([offset], own), factor)
        hold_for_every_code(model_of(np.array([[-big, -1.0, 0.0, 1.0, big]], own), scaler), input_port.parse("s8*1000"))


@pytest.mark.parametrize("clip", [(0.0, 1.0), (-0.5, 0.5)])
def test_a_clipping_scaler_compares_what_it_clipped(clip):
    thresholds = np.array([[-0.5, -0.1, 0.0, 0.5, 0.99, 1.0]], np.float32)
    scaler = Scaler("minmax", np.array([-0.25]), np.array([1 / 128]), clip)
    hold_for_every_code(model_of(thresholds, scaler), input_port.parse("u8"))


def test_each_feature_may_have_its_own_format_and_step():
    model = model_of(np.array([[0.1, 0.5], [3.0, -100.0]], np.float32))
    formats, steps = (ir.Format(8), ir.Format(5, True)), (Fraction(1, 255), Fraction(1, 2))
    port = input_port.Port(formats, steps, (Fraction(0), Fraction(-1)), "stated", "")
    network = freeze_dwn.freeze_dwn(model, port)
    # 25/255 < 0.1 < 26/255; 127/255 < 0.5 < 128/255; 8/2 − 1 = 3, which is not above 3; nothing is below −100.
    assert network.nodes[0].thresholds == ((26, 128), (9, -16))


@settings(max_examples=40)
@given(draw=st.data(), port=ports())
@example(draw=None, port=input_port.parse("u8/255"))
def test_torch_compares_as_the_frozen_thermometer_does(draw, port):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    model = draw.draw(models(port)) if draw else model_of((rng.integers(0, 256, (2, 9)) / 255).astype(np.float32))
    network = freeze_dwn.freeze_dwn(model, port)
    fmt = port.formats[0]
    codes = torch.arange(fmt.low, fmt.high + 1)[:, None].repeat(1, len(model.thresholds))
    step = port.steps[0]
    x = codes.double() * step.numerator / step.denominator
    scaler = model.scaler
    if scaler is not None:
        offset, factor = torch.from_numpy(scaler.offset), torch.from_numpy(scaler.factor)
        x = x.to(offset.dtype)
        x = (x - offset) / factor if scaler.kind == "standard" else x * factor + offset
        x = x if scaler.clip is None else x.clamp(*scaler.clip)
    thresholds = torch.from_numpy(model.thresholds)
    wanted = (x.to(thresholds.dtype)[:, :, None] > thresholds).reshape(len(codes), -1)
    assert (evaluate.apply(network.nodes[0], codes.numpy()) == wanted.numpy()).all()


@pytest.mark.parametrize("form", ["StandardScaler", "MinMaxScaler"])
@pytest.mark.parametrize("clip", [False, True])
def test_the_scalers_arithmetic_is_scikit_learn_s_bit_for_bit(form, clip):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    rng = np.random.default_rng(4)
    x = rng.normal(3, 7, (200, 4)) * [1, 1e-8, 1e8, 1]
    if form == "StandardScaler":
        theirs = preprocessing.StandardScaler().fit(x[:100])
        ours = Scaler("standard", theirs.mean_, theirs.scale_)
    else:
        theirs = preprocessing.MinMaxScaler((-1, 1), clip=clip).fit(x[:100])
        ours = Scaler("minmax", theirs.min_, theirs.scale_, (-1.0, 1.0) if clip else None)
    assert ours.apply(x).tobytes() == theirs.transform(x).tobytes()


# ---- the rest of the network ---------------------------------------------------------------------------------------


def whole() -> TrainedDwn:
    rng = np.random.default_rng(11)
    layers = (
        TrainedLutLayer(rng.integers(0, 12, (9, 4)), rng.integers(0, 2, (9, 16)).astype(np.uint8)),
        TrainedLutLayer(rng.integers(0, 9, (7, 2)), rng.integers(0, 2, (7, 4)).astype(np.uint8)),
    )
    group = TrainedGroupSum(3, 3.3, rng.permutation(7))
    scaler = Scaler("standard", np.array([0.5, 1.0, 2.0]), np.array([1.0, 2.0, 0.1]))
    thresholds = rng.normal(size=(3, 4)).astype(np.float32)
    return TrainedDwn(thresholds, scaler, layers, group, ("a", "b", "c"), ("x", "y", "z"), "a test")


PORT = input_port.parse("sQ3.4")
CODES = np.random.default_rng(0).integers(-128, 128, (200, 3))


def sums(bits: np.ndarray) -> np.ndarray:
    """The group sums of ``whole()`` for thermometer bits, sample by sample."""
    model, out = whole(), []
    for values in bits.tolist():
        for layer in model.layers:
            rows = zip(layer.mapping.tolist(), layer.tables.tolist(), strict=True)
            values = [table[sum(values[w] << slot for slot, w in enumerate(row))] for row, table in rows]
        values = [values[i] for i in model.group.permutation] + [0, 0]
        out.append([sum(values[k : k + 3]) for k in (0, 3, 6)])
    return np.array(out)


def test_tables_mapping_permutation_and_names_come_through():
    network = freeze_dwn.freeze_dwn(whole(), PORT)
    assert network.names() == ("encoder", "l0", "l1", "popcount", "argmax")
    assert (network.class_names, network.feature_names) == (("a", "b", "c"), ("x", "y", "z"))
    assert dict(network.notes) == {
        "source": "a test", "scaler": "standard, folded into the thresholds", "input": "stated as sQ3.4",
    }  # fmt: skip
    assert network.nodes[3].tau == "3.3"
    assert freeze_dwn.check_encoder(whole(), network, CODES) == 200 * 12
    assert freeze_dwn.check_reference(sums, network, CODES) == 200 * 3


def test_raw_thresholds_are_where_comparisons_turn_in_the_user_s_units():
    thresholds = np.array([[0.0, 1.0], [2.0, 4.0]])
    standard = Scaler("standard", np.array([10.0, 20.0]), np.array([2.0, 4.0]))
    minmax = Scaler("minmax", np.array([1.0]), np.array([2.0]))
    assert freeze_dwn.raw_thresholds(model_of(thresholds)).tolist() == thresholds.tolist()
    assert freeze_dwn.raw_thresholds(model_of(thresholds, standard)).tolist() == [[10.0, 12.0], [28.0, 36.0]]
    assert freeze_dwn.raw_thresholds(model_of(thresholds, minmax)).tolist() == [[-0.5, 0.0], [0.5, 1.5]]


def test_without_scaler_the_port_carries_the_model_s_own_features():
    bare = freeze_dwn.without_scaler(whole())
    assert bare.scaler is None
    network = hold_for_every_code(bare, PORT)
    assert dict(network.notes)["scaler"] == "none"


def changed(network: ir.Network, index: int, node: ir.Node) -> ir.Network:
    nodes = (*network.nodes[:index], node, *network.nodes[index + 1 :])
    return ir.Network(network.input, nodes, network.class_names, network.feature_names, network.notes)


@pytest.mark.parametrize("move", [-1, 1])
def test_one_threshold_moved_by_one_code_is_a_mismatch(move):
    network = freeze_dwn.freeze_dwn(whole(), PORT)
    rows = [list(row) for row in network.nodes[0].thresholds]
    rows[1][2] += move
    codes = np.arange(-128, 128)[:, None].repeat(3, axis=1)
    with pytest.raises(Mismatch) as caught:
        freeze_dwn.check_encoder(whole(), changed(network, 0, ir.Thermometer(tuple(map(tuple, rows)))), codes)
    turn = rows[1][2] - (move == 1) + 128
    given, got = (0, 1) if move == -1 else (1, 0)
    assert str(caught.value) == (
        f"thermometer bit 6 of sample {turn}: the model gives {given}, the frozen network {got} (1 of 3072 differ)"
    )


def test_one_flipped_table_bit_is_a_mismatch():
    network = freeze_dwn.freeze_dwn(whole(), PORT)
    bits = evaluate.trace(network, CODES)
    layer = network.nodes[2]
    # The address that LUT 0 of the last layer sees for sample 5 is certainly used.
    address = sum(int(bits[2][5][w]) << slot for slot, w in enumerate(layer.wires[0]))
    other = ir.LutLayer(layer.wires, (layer.tables[0] ^ 1 << address, *layer.tables[1:]))
    with pytest.raises(Mismatch, match=r"group sum \d of sample [0-5]: the model gives"):
        freeze_dwn.check_reference(sums, changed(network, 2, other), CODES)


def test_a_reference_of_another_shape_is_a_mismatch():
    network = freeze_dwn.freeze_dwn(whole(), PORT)
    with pytest.raises(Mismatch, match=r"the model gives shape \(200, 2\), the frozen network \(200, 3\)"):
        freeze_dwn.check_reference(lambda bits: sums(bits)[:, :2], network, CODES)


# ---- what would break bisection is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["standard", "minmax"])
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_factor_that_would_not_keep_the_order_is_refused(form, bad):
    scaler = Scaler(form, np.zeros(2), np.array([1.0, bad]))
    with pytest.raises(CheckpointError) as caught:
        freeze_dwn.freeze_dwn(model_of(np.zeros((2, 2)), scaler), PORT)
    rule = "every factor is a finite number above 0, every offset a finite number"
    assert str(caught.value).startswith(f"scaler: {rule}; got factor {bad} at 1.")


@pytest.mark.parametrize(
    ("scaler", "message"),
    [
        (Scaler("standard", np.array([np.nan]), np.ones(1)), "got offset nan at 0"),
        (Scaler("minmax", np.array([np.inf]), np.ones(1)), "got offset inf at 0"),
        (Scaler("standard", np.array([1]), np.ones(1)), "got offset of int64"),
        (Scaler("robust", np.zeros(1), np.ones(1)), "its kind is standard or minmax; got 'robust'"),
    ],
)
def test_a_scaler_of_no_known_form_is_refused(scaler, message):
    with pytest.raises(CheckpointError, match=message):
        freeze_dwn.freeze_dwn(model_of(np.zeros((2, 2)), scaler), PORT)


@pytest.mark.parametrize("thresholds", [np.array([[0.0, np.nan]]), np.array([[1, 2]])])
def test_thresholds_that_are_no_floats_are_refused(thresholds):
    with pytest.raises(CheckpointError, match="thresholds are floating-point numbers; got"):
        freeze_dwn.freeze_dwn(model_of(thresholds), PORT)


def test_a_port_for_another_number_of_features_is_refused():
    port = input_port.Port((ir.Format(8),) * 2, (Fraction(1),), (Fraction(0),), "stated", "")
    with pytest.raises(CheckpointError, match="one of formats, or one for each of 3 features; got 2"):
        freeze_dwn.freeze_dwn(whole(), port)
