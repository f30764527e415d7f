"""Of each kind of node at least one network that holds it: what every kind must be able to do is tried on these.

A new kind of node needs its line in :data:`EXAMPLES`, and nothing else here if one of the networks can take it.
"""

from __future__ import annotations

from dwn_hw import ir

#: Three features, one of them signed; LUTs of one to three inputs; a permuted vote with a bit of padding.
LUTS = ir.Network(
    ir.Input((3,), (ir.Format(3), ir.Format(4, signed=True), ir.Format(2))),
    (
        ir.Thermometer(((1, 3, 6), (-5, 0, 2), (1,))),
        ir.LutLayer(((0, 3), (1, 4, 6), (2,), (5, 6), (3, 1, 0)), (0b0110, 0b10010110, 0b01, 0b0111, 0b11101000)),
        ir.GroupSum(2, (4, 2, 0, 1, 3)),
        ir.ArgMax(),
    ),
)

#: An image of two channels, and from the pool on a row of numbers.
IMAGES = ir.Network(
    ir.Input((2, 4, 4), (ir.Format(3), ir.Format(2, signed=True))),
    (
        ir.Conv2d((2, 2, 2, 2), (4, -2, 0, 4) * 4, (3, -2), -2, padding=(1, 1)),
        ir.Relu(),
        ir.Quantize(-1, "half_even", 0, 15),
        ir.MaxPool2d((2, 2), (2, 2)),
        ir.Affine((3, -2), (1, 4), 1, -2),
        ir.Reshape((8,)),
        ir.Dense(
            (*(2, 0, -2, 4, -2, 2, 0, 4), *(-2, 1, 0, -4, 2, 0, 2, -4), *(0, 1, 2, -4, 0, -2, 2, 4)),
            (0, 20, 10),
            -1,
        ),
        ir.ArgMax(),
    ),
)

#: An image that grows by weights of any kind; its numbers become levels, one of them twice, and are put in order.
LEVELS = ir.Network(
    ir.Input((2, 2, 3), (ir.Format(2),)),
    (
        ir.ConvTranspose2d(
            (2, 2, 2, 3),
            (*(3, -5, 1, 0, 7, -2), *(1, 2, 0, -4, 6, -7), *(-6, 1, 2, 5, -3, 4), *(0, -1, 3, 3, -8, 5)),
            (2, -1, 0, 4),
            0,
            stride=(2, 1),
            padding=(1, 1),
            output_padding=(1, 0),
            groups=2,
        ),
        ir.MultiThreshold(
            ((-4, 0, 0, 6), (-9, -1, 1, 8), (2,), (-3, 5)),
            ((3, -2, 7, 1, -2), (0, 1, 2, 1, 5), (4, 0), (1, 6, 2)),
            -1,
        ),
        ir.Sort((2,), 2, descending=True),
        ir.CompareToMean(),
    ),
)

#: The two least of each row of two images, and behind them the two least of each column.
CROSSED = ir.Network(
    ir.Input((3,), (ir.Format(3, signed=True),)),
    (
        ir.Dense(
            (*(1, 0, -1, 2, 1, 0, 0, -1, 1), *(1, 1, 0, -2, 0, 1, 1, 2, 3, 0, 1, -1, -1, 0, 2)) * 2, (1, 0) * 8, 0
        ),
        ir.Reshape((2, 4, 2)),
        ir.Sort((2, 1), 2),
    ),
)

#: The two greatest of three levels, each of which comes as a word that says which levels are reached.
WORDS = ir.Network(
    ir.Input((3,), (ir.Format(3, signed=True),)),
    (ir.MultiThreshold(((-2, 1, 1, 3),), ((0, 1, 0, 3, 7),)), ir.Sort((0,), 2, True, (-3, 0, 2, 9), -1)),
)

#: The places of the greatest of each of three rows.
ROWS = ir.Network(
    ir.Input((4,), (ir.Format(3),)),
    (
        ir.Dense((*(1, -3, 2, 0, 5, 1, -1, 2, 3, 3, -2, -7), *(0, 1, -4, 6, 2, -2, 3, 1, -1, 0, 4, -5)), (3,) * 6, 0),
        ir.Reshape((3, 2)),
        ir.ArgMax(),
    ),
)

#: The nearest of three vectors (1, 2), (−2, 1), (3, −1) for each of two: 2·x·c − ‖c‖² is greatest there.
NEAREST = ir.Network(
    ir.Input((4,), (ir.Format(3, signed=True),)),
    (
        ir.Dense(
            (*(2, 4, 0, 0, -4, 2, 0, 0, 6, -2, 0, 0), *(0, 0, 2, 4, 0, 0, -4, 2, 0, 0, 6, -2)), (-5, -5, -10) * 2, 0
        ),
        ir.Reshape((2, 3)),
        ir.ArgMax(),
        ir.Codebook(((1, 2), (-2, 1), (3, -1)), -1),
    ),
)

#: Bits of an image by a convolution and a step, through LUTs; and one number more of three levels by a thermometer.
HYBRID = ir.Network(
    ir.Input((1, 3, 3), (ir.Format(2),)),
    (
        ir.Conv2d((2, 1, 2, 2), (3, -2, 1, -1, -3, 1, 2, 1), (-1, -2), 0),
        ir.MultiThreshold(((1,), (-2, 1)), ((0, 1), (1, 0, 1))),
        ir.Reshape((8,)),
        ir.LutLayer(((0, 1, 4), (2, 5), (3, 6, 7), (7, 0)), (0b10010110, 0b0111, 0b11101000, 0b0110)),
        ir.Dense((2, -1, 3, 1, -2, 2, 1, -3), (0, 1), 0),
        ir.Thermometer(((-1, 1, 3), (0, 2))),
        ir.LutLayer(((0, 1), (2, 3, 4), (4, 1), (0,)), (0b0110, 0b11010010, 0b1011, 0b01)),
        ir.GroupSum(2, (2, 3, 1, 0)),
        ir.ArgMax(),
    ),
)

EXAMPLES: dict[type[ir.Node], tuple[ir.Network, ...]] = {
    ir.Thermometer: (LUTS, HYBRID),
    ir.LutLayer: (LUTS, HYBRID),
    ir.GroupSum: (LUTS, HYBRID),
    ir.ArgMax: (LUTS, IMAGES, ROWS, HYBRID),
    ir.Dense: (IMAGES, ROWS.upto(2), HYBRID),
    ir.Conv2d: (IMAGES,),
    ir.ConvTranspose2d: (LEVELS.upto(2),),
    ir.MultiThreshold: (LEVELS.upto(2), HYBRID),
    ir.Sort: (LEVELS, CROSSED, WORDS),
    ir.CompareToMean: (LEVELS,),
    ir.Codebook: (NEAREST,),
    ir.Quantize: (IMAGES,),
    ir.Affine: (IMAGES,),
    ir.Relu: (IMAGES,),
    ir.MaxPool2d: (IMAGES,),
    ir.Reshape: (IMAGES,),
}
