"""The input contract: what each stated form means, which grid is inferred and why, and codes there and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import DataError, OptionError
from dwn_hw.frontend import input_port
from dwn_hw.ir.codes import are_codes, decode, encode

#: Eight different thresholds that lie on no grid.
LOOSE = np.sqrt(np.arange(2.0, 26.0)).reshape(3, 8)


# ---- stated --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fmt", "step"),
    [
        ("u8", ir.Format(8), "1"),
        ("s12", ir.Format(12, True), "1"),
        ("u1", ir.Format(1), "1"),
        ("s1", ir.Format(1, True), "1"),
        ("u32", ir.Format(32), "1"),
        ("u8/255", ir.Format(8), "1/255"),
        ("s8/127", ir.Format(8, True), "1/127"),
        ("u16/2.5", ir.Format(16), "2/5"),
        ("u8*4", ir.Format(8), "4"),
        ("u8*0.25", ir.Format(8), "1/4"),
        ("uQ4.12", ir.Format(16), "1/4096"),
        ("sQ3.12", ir.Format(16, True), "1/4096"),
        ("sQ0.7", ir.Format(8, True), "1/128"),
        ("sQ0.0", ir.Format(1, True), "1"),
        (" u8 ", ir.Format(8), "1"),
    ],
)
def test_a_stated_format_is_read(text, fmt, step):
    port = input_port.parse(text)
    assert (port.formats, port.steps, port.offsets) == ((fmt,), (Fraction(step),), (Fraction(0),))
    assert (port.origin, port.reason) == ("stated", f"stated as {text}")


@pytest.mark.parametrize(
    "text",
    [
        *("", "8", "i8", "u", "U8", "u-8", "u8/", "u8/0", "u8*0", "u8/0.0", "u8/-1", "u8/1e5", "u8/x", "u8+1", "uQ4"),
        *("uQ.4", "uQ4.", "sQ-1.4", "u8 /255", "u8\n9", "u9999", "u8/" + "9" * 21, "uQ4.12/2"),
    ],
)
def test_a_form_that_is_not_known_is_refused_with_the_known_ones(text):
    with pytest.raises(OptionError) as caught:
        input_port.parse(text)
    assert str(caught.value) == (
        f"--input-format: letter, width, and how a code decodes; got {text!r}. "
        "Say u8, s12, u8/255, u8*4, uQ4.12 or sQ3.12."
    )


def test_a_number_longer_than_python_reads_is_refused():
    with pytest.raises(OptionError, match="letter, width, and how a code decodes"):
        input_port.parse("u8/" + "9" * 5000)


@pytest.mark.parametrize(("text", "bits"), [("u0", 0), ("u33", 33), ("s999", 999), ("uQ0.0", 0), ("sQ20.12", 33)])
def test_a_width_outside_1_to_32_is_refused(text, bits):
    with pytest.raises(OptionError) as caught:
        input_port.parse(text)
    message = f"--input-format: a width of 1 to 32 bits; got {text!r} ({bits} bits). State a narrower format."
    assert str(caught.value) == message


# ---- inferred ------------------------------------------------------------------------------------------------------


def test_what_is_stated_comes_before_data_before_thresholds_before_the_default():
    thresholds = np.arange(24.0).reshape(3, 8)
    images = np.arange(256.0)[:, None] / 255 * np.ones(3)
    assert input_port.choose(thresholds, "s12", images).origin == "stated"
    assert input_port.choose(thresholds / 255, None, images).origin == "data"
    assert input_port.choose(thresholds).origin == "thresholds"
    assert input_port.choose(LOOSE).origin == "default"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_divided_by_255_are_u8_over_255(dtype):
    images = (np.arange(256).astype(dtype) / dtype(255))[:, None].repeat(3, axis=1)
    port = input_port.choose(LOOSE / 8, data=images)
    assert (port.formats, port.steps, port.origin) == ((ir.Format(8),), (Fraction(1, 255),), "data")
    assert port.reason == "the data lies on the grid of step 1/255: u8"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_thresholds_of_images_are_u8_over_255(dtype):
    levels = (np.arange(0, 256, 8).astype(dtype) / dtype(255)).reshape(4, 8)
    port = input_port.choose(levels)
    assert (port.formats, port.steps, port.origin) == ((ir.Format(8),), (Fraction(1, 255),), "thresholds")


def test_thresholds_that_went_through_a_scaler_and_back_keep_their_grid():
    levels = np.arange(1, 25).reshape(3, 8) * 10.0
    mean, deviation = 33.31, 7.77
    assert input_port.choose(((levels - mean) / deviation) * deviation + mean).steps == (Fraction(1),)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, bool])
def test_integer_data_is_a_port_of_integers(dtype):
    data = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    port = input_port.choose(LOOSE / 8, data=data)
    assert (port.formats, port.steps) == ((ir.Format(1),), (Fraction(1),))


@pytest.mark.parametrize(
    ("data", "fmt", "step"),
    [
        ([[-3.0], [100.0]], ir.Format(8, True), "1"),
        ([[0.5], [-0.5]], ir.Format(5, True), "1/2"),
        ([[0.0], [1 / 256]], ir.Format(11), "1/256"),
        ([[3 + 1 / 4096]], ir.Format(15), "1/4096"),
    ],
)
def test_data_on_a_binary_grid_is_found_with_the_coarsest_step(data, fmt, step):
    """Thresholds up to 5 widen the format: codes on both sides of each must exist."""
    port = input_port.choose(LOOSE, data=np.array(data))
    assert (port.formats, port.steps, port.origin) == ((fmt,), (Fraction(step),), "data")


def test_data_on_no_grid_gives_16_bits_and_no_data_makes_them_unmeasured():
    port = input_port.choose(LOOSE, data=np.sqrt(np.arange(60.0)).reshape(20, 3))
    assert port.formats == (ir.Format(16, True),)
    assert port.reason.startswith("DEFAULT: 16 bits a feature, signed, binary point by the feature's thresholds (")
    assert port.reason.endswith("(the data lies on no grid of 16 bits or fewer; the report says what rounding changes)")
    assert input_port.choose(np.sqrt([[2.0], [3.0]])).reason.startswith("DEFAULT, not measured: 16 bits a feature, ")
    assert input_port.choose(LOOSE).reason.endswith("(no format and no data was given)")


@pytest.mark.parametrize("data", [[[2.0**70]], [[1e300]], [[70000.0]], [[np.inf]], [[np.nan]], np.empty((0, 1))])
def test_data_too_wide_for_any_grid_gives_the_default(data):
    assert input_port.choose(LOOSE[:1], data=np.asarray(data)).origin == "default"


def test_thresholds_too_wide_for_the_data_s_grid_give_the_default():
    assert input_port.choose(np.array([[1e30, 2.0]]), data=np.array([[1.0]])).origin == "default"
    assert input_port.choose(np.array([[np.inf, 2.0]]), data=np.array([[1.0]])).origin == "default"


def test_a_few_thresholds_on_a_grid_are_chance():
    assert input_port.choose(np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]])).origin == "default"
    assert input_port.choose(np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]])).origin == "thresholds"


def test_values_beyond_the_last_threshold_stay_above_it():
    """Thresholds up to 127 do not make a u7: 200 would saturate to 127, which is not above 127. Bytes end at 255."""
    levels = np.arange(1, 128).reshape(1, 127) * 1.0
    port = input_port.choose(levels)
    assert port.formats == (ir.Format(8),)
    code = encode(port.input(1), np.array([[200.0], [1e9]])).codes
    assert (decode(port.input(1), code, np.dtype(np.float64)) > 127).all()
    assert input_port.choose(np.arange(1.0, 256).reshape(1, 255)).formats == (ir.Format(8),)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4))
def test_the_default_has_codes_on_both_sides_of_every_threshold(values):
    """As far as float64 holds its grid, from 2**-900 to 2**900."""
    port = input_port.choose(np.array([values]))
    fmt, source = port.formats[0], port.input(1)
    ends = decode(source, np.array([[fmt.low], [fmt.high]]), np.dtype(np.float64))[:, 0]
    assert np.isfinite(ends).all()
    for value in values:
        if abs(value) < 2.0**899:
            assert ends[0] <= value < ends[1]


def test_the_default_places_the_binary_point_by_each_feature_s_thresholds():
    port = input_port.choose(np.array([[3.1, -0.1], [1e-3, 1e-4], [0.0, 0.0], [4.0, 1.0]]))
    assert port.steps == tuple(Fraction(2) ** e for e in (2 - 15, -9 - 15, -15, 3 - 15))


# ---- codes ---------------------------------------------------------------------------------------------------------

FORMS = ["u1", "u8", "s8", "u8/255", "s8/127", "u8*4", "u8/3", "u7*0.1", "uQ4.12", "sQ3.12", "sQ0.7", "u10/1023"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", FORMS)
def test_every_code_of_a_port_survives_decoding_and_encoding(text, dtype):
    source = input_port.parse(text).input(1)
    fmt = source.formats[0]
    codes = np.arange(fmt.low, fmt.high + 1)[:, None]
    real = decode(source, codes, np.dtype(dtype))
    assert real.dtype == dtype
    encoded = encode(source, real)
    assert (encoded.codes == codes).all()
    assert (encoded.rounded, encoded.saturated) == (0, 0)


@given(
    bits=st.integers(1, 32),
    signed=st.booleans(),
    step=st.fractions(Fraction(1, 10**6), 10**6, max_denominator=10**6),
    offset=st.fractions(-1000, 1000, max_denominator=1000),
    seed=st.integers(0, 99),
)
def test_any_code_of_any_port_survives_in_float64(bits, signed, step, offset, seed):
    fmt = ir.Format(bits, signed)
    # float64 keeps a code only where the offset is not vast beside the step.
    offset = offset if abs(offset) < step * 2**30 else Fraction(0)
    source = ir.Input((1,), (fmt,), (str(step),), (str(offset),))
    codes = np.random.default_rng(seed).integers(fmt.low, fmt.high + 1, (20, 1))
    real = decode(source, codes, np.dtype(np.float64))
    assert (encode(source, real).codes == codes).all()


@pytest.mark.parametrize("text", FORMS)
def test_decoding_is_the_nearest_float_to_the_exact_rational(text):
    port = input_port.parse(text)
    fmt, step = port.formats[0], port.steps[0]
    codes = np.arange(fmt.low, fmt.high + 1)
    got = decode(port.input(1), codes[:, None], np.dtype(np.float64))[:, 0]
    assert got.tolist() == [float(step * code) for code in codes.tolist()]
    single = decode(port.input(1), codes[:, None], np.dtype(np.float32))[:, 0]
    for code, value in zip(codes.tolist(), single, strict=True):
        exact = step * code
        below, above = (Fraction(float(np.nextafter(value, np.float32(end)))) for end in (-np.inf, np.inf))
        assert abs(Fraction(float(value)) - exact) <= min(abs(below - exact), abs(above - exact))


def test_samples_go_to_the_nearest_code_and_saturate_at_the_ends():
    source = input_port.parse("s4*0.5").input(2)
    encoded = encode(source, np.array([[0.2, 0.3], [-4.0, 3.5], [-4.3, 3.8], [-1e300, 1e300]]))
    assert encoded.codes.tolist() == [[0, 1], [-8, 7], [-8, 7], [-8, 7]]
    assert (encoded.rounded, encoded.saturated) == (4, 4)


def test_each_entry_of_the_first_axis_may_have_its_own_grid():
    source = ir.Input((2, 2), (ir.Format(8), ir.Format(4)), ("1", "1/2"), ("0", "-1"))
    x = np.array([[[3.0, 400.0], [0.0, 1.0]]])
    assert encode(source, x).codes.tolist() == [[3, 255, 2, 4]]
    assert decode(source, np.array([[3, 255, 2, 4]]), np.dtype("f8")).tolist() == [[3.0, 255.0, 0.0, 1.0]]


def test_bytes_are_codes_of_a_port_of_bytes():
    source = input_port.parse("u8/255").input(2)
    assert encode(source, np.array([[0, 255]], np.uint8)).codes.tolist() == [[0, 255]]
    source = input_port.parse("sQ3.12").input(1)
    assert encode(source, np.array([[-32768]], np.int16)).codes.tolist() == [[-32768]]


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16])
def test_integers_of_another_type_than_the_codes_are_refused(dtype):
    with pytest.raises(DataError) as caught:
        encode(input_port.parse("u8/255").input(2), np.array([[0, 1]], dtype))
    assert str(caught.value) == (
        f"x: real values, or codes of the port's own type (u8); got {np.dtype(dtype)}. "
        "Convert x to float, or name the array 'codes'."
    )


def test_integers_are_numbers_where_a_code_is_its_own_value():
    source = input_port.parse("u8").input(2)
    for dtype in (np.int64, np.uint8, np.int16, bool):
        assert encode(source, np.array([[0, 1]], dtype)).codes.tolist() == [[0, 1]]
    assert encode(source, np.array([[-1, 300]])).saturated == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_integers_are_numbers_where_features_have_steps_of_their_own(dtype):
    """Also when the dtype is that of the codes: steps of 2 and 4 halve and quarter what is given."""
    source = ir.Input((2,), (ir.Format(8),), ("2", "4"), ("0", "-8"))
    assert encode(source, np.array([[6, 8]], dtype)).codes.tolist() == [[3, 4]]
    assert not are_codes(source, np.array([[6, 8]], dtype))
    fractions = ir.Input((2,), (ir.Format(8),), ("2", "1/2"), ("0",))
    assert encode(fractions, np.array([[6, 8]], dtype)).codes.tolist() == [[3, 16]]


@pytest.mark.parametrize(("value", "text"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_what_is_no_finite_number_is_named_with_its_place(value, text):
    x = np.ones((4, 3), np.float32)
    x[2, 1] = x[3, 0] = value
    with pytest.raises(DataError) as caught:
        encode(input_port.parse("u8").input(3), x)
    message = f"x: finite numbers; got {text} in sample 2, feature 1 (2 in all). Remove or fill those values."
    assert str(caught.value) == message


@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 4), (5, 3, 2), ()])
def test_another_count_of_features_is_refused(shape):
    with pytest.raises(DataError) as caught:
        encode(input_port.parse("u8").input(3), np.zeros(shape))
    assert str(caught.value) == (
        f"x: samples of 3 features: shape (samples, 3); got shape {shape}. "
        "Give the features that the model was trained on."
    )


def test_samples_of_several_axes_are_flattened_and_none_may_be_given():
    source = input_port.parse("u8").input(6)
    assert encode(source, np.arange(12.0).reshape(2, 2, 3)).codes.tolist() == [[*range(6)], [*range(6, 12)]]
    assert encode(source, np.empty((0, 6))).codes.shape == (0, 6)


@pytest.mark.parametrize("x", [np.array([["1"]]), np.array([[1j]]), np.array([[None]]), np.array([["2020"]], "M8[Y]")])
def test_what_is_no_number_is_refused(x):
    with pytest.raises(DataError, match="x: numbers; got dtype"):
        encode(input_port.parse("u8").input(1), x)


@given(
    st.integers(1, 10**30),
    st.integers(1, 10**30),
    st.integers(-(10**12), 10**12),
    st.integers(1, 10**6),
    st.lists(st.integers(-(2**31), 2**32 - 1), min_size=1, max_size=9),
)
def test_a_code_decodes_to_the_float64_nearest_to_the_exact_rational(up, down, shift, below, codes):
    """However many digits a step has: Python's own rounding of the rational is the oracle."""
    step, offset = Fraction(up, down), Fraction(shift, below)
    port = ir.Input((1,), (ir.Format(33, signed=True),), (str(step),), (str(offset),))
    found = decode(port, np.array(codes)[:, None], np.dtype(np.float64))[:, 0]
    assert found.tolist() == [float(code * step + offset) for code in codes]
