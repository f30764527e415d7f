"""Our four shift layers beside DeepShift's, forward and gradient, bit for bit.

Upstream's arithmetic is written here anew, from what its code does without kernels (deepshift/modules.py, modules_q.py, utils.py,
ste.py): what each layer floors, how weights are rounded, and where gradients pass straight through.
"""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from dwn_hw.nn import Conv2dShift, Conv2dShiftQ, LinearShift, LinearShiftQ, shift_ste  # noqa: E402


class Straight(torch.autograd.Function):
    """Forward a given value, backward the identity to the first argument."""

    @staticmethod
    def forward(ctx, x, value):
        return value.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class PowerTimesSign(torch.autograd.Function):
    """Upstream's unsymmetric product: the sign gets the whole gradient."""

    @staticmethod
    def forward(ctx, power, sign):
        ctx.save_for_backward(sign)
        return power * sign

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], grad


def fixed(x, integer, fraction):
    if integer == 1:
        return Straight.apply(x, torch.sign(x.detach()) - 1)
    step, bound = math.pow(2.0, -fraction), math.pow(2.0, integer - 1)
    return Straight.apply(x, torch.clamp(torch.floor(x.detach() / step) * step, -bound, bound - 1))


def ps_weight(layer, shift, sign):
    shift.data = shift.data.clamp(*layer.shift_range)
    rounded = Straight.apply(shift, shift.detach().round())
    whole = Straight.apply(sign, sign.detach().round())
    return PowerTimesSign.apply(2**rounded, Straight.apply(whole, torch.sign(whole.detach())))


def q_weight(layer, weight):
    low, high = layer.shift_range
    weight.data = torch.sign(weight.data) * torch.clamp(torch.abs(weight.data), 2**low, 2**high)
    plain = weight.detach()
    exponent = torch.round(torch.log(torch.abs(plain)) / math.log(2))
    return Straight.apply(weight, (2.0**exponent) * torch.sign(plain))


def upstream(layer, parameters, x):
    """What DeepShift's layer of this name gives for ``x``."""
    bits = layer.act_integer_bits, layer.act_fraction_bits
    bias = parameters["bias"]
    weight = (
        ps_weight(layer, parameters["shift"], parameters["sign"])
        if "shift" in parameters
        else q_weight(layer, parameters["weight"])
    )
    match type(layer).__name__:
        case "LinearShift":
            return functional.linear(x, weight, bias)
        case "LinearShiftQ":
            return fixed(x, *bits).mm(weight.t()) + bias.unsqueeze(0)
        case _:
            place = layer.stride, layer.padding, layer.dilation, layer.groups
            return functional.conv2d(fixed(x, *bits), weight, fixed(bias, *bits), *place)


LAYERS = {
    "LinearShift": lambda **o: (LinearShift(7, 5, **o), (9, 7)),
    "LinearShiftQ": lambda **o: (LinearShiftQ(7, 5, **o), (9, 7)),
    "Conv2dShift": lambda **o: (Conv2dShift(4, 6, 3, stride=2, padding=1, groups=2, **o), (3, 4, 7, 6)),
    "Conv2dShiftQ": lambda **o: (Conv2dShiftQ(4, 6, (2, 3), dilation=(2, 1), **o), (3, 4, 7, 6)),
}
FORMATS = [(16, 16), (3, 5), (2, 0), (8, 8), (1, 4)]


def samples(shape, kind, integer, fraction, generator):
    """Random numbers, or those at the edges of the format: its ends, its steps, and the numbers next to them."""
    if kind == "random":
        return torch.randn(shape, generator=generator) * 2.0 ** min(integer - 1, 6)
    bound, step = 2.0 ** (integer - 1), 2.0**-fraction
    edges = torch.tensor(
        [0.0, -0.0, bound, bound - 1, -bound, -bound - 1, step, -step, step / 2, bound - step, 1 - step, -0.5]
    )
    edges = torch.cat([edges, torch.nextafter(edges, torch.tensor(9e9)), torch.nextafter(edges, torch.tensor(-9e9))])
    return edges[torch.randint(len(edges), shape, generator=generator)]


@pytest.mark.parametrize("kind", ["random", "edges"])
@pytest.mark.parametrize("bits", FORMATS)
@pytest.mark.parametrize("weight_bits", [5, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_what_upstream_s_gives_and_its_gradients_bit_for_bit(name, weight_bits, bits, kind):
    torch.manual_seed(3)
    layer, shape = LAYERS[name](weight_bits=weight_bits, act_integer_bits=bits[0], act_fraction_bits=bits[1])
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.7)  # some beyond their range
    theirs = {key: value.detach().clone().requires_grad_() for key, value in layer.named_parameters()}
    x = samples(shape, kind, *bits, generator)
    ours_x, theirs_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    wanted, got = upstream(layer, theirs, theirs_x), layer(ours_x)
    assert torch.equal(got, wanted)
    gradient = torch.randn(got.shape, generator=generator)
    got.backward(gradient)
    wanted.backward(gradient)
    assert torch.equal(ours_x.grad, theirs_x.grad)
    for key, value in layer.named_parameters():
        assert torch.equal(value, theirs[key]), key
        assert torch.equal(value.grad, theirs[key].grad), key


@pytest.mark.parametrize("name", LAYERS)
def test_floored_layers_floor_what_comes_in_and_the_bias(name):
    torch.manual_seed(3)
    options = {"floored": True} if name.startswith("Linear") else {}
    layer, shape = LAYERS[name](act_integer_bits=3, act_fraction_bits=2, **options)
    x = torch.randn(shape) * 3
    rounded = shift_ste.to_fixed_point(x, 3, 2)
    assert torch.equal(layer(x), layer(rounded))
    layer.bias.data = shift_ste.to_fixed_point(layer.bias.data, 3, 2)
    assert (layer.floors_input, layer.floors_bias) == (True, True)
    assert torch.equal(layer(x), layer(rounded))


def test_the_shifts_of_a_convolution_begin_between_minus_10_and_minus_1_whatever_its_bits():
    torch.manual_seed(0)
    shift = Conv2dShift(8, 8, 3, weight_bits=3).shift
    assert -10 <= shift.min() < -9
    assert -2 < shift.max() <= -1
    assert LinearShift(40, 40, weight_bits=3).shift.min() >= -2
