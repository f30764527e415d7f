"""The operations that a network may consist of, under the names that modules, functions and methods of torch have for them."""

from __future__ import annotations

from dwn_hw.frontend.integer_networks.read_discretizers import OURS
from dwn_hw.frontend.integer_networks.trained_network import LINEAR_LAYERS, SHIFT_LAYERS
from dwn_hw.frontend.read_thermometer import THERMOMETERS

_KINDS: dict[str, tuple[str, ...]] = {
    "relu": ("ReLU", "relu", "relu_"),
    "pool": ("MaxPool2d", "max_pool2d"),
    "reshape": (
        *("Flatten", "Unflatten", "flatten", "unflatten", "view", "reshape", "squeeze", "unsqueeze", "contiguous"),
    ),
    "dropout": ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "Identity"),
    "random": ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
    "softmax": ("LogSoftmax", "Softmax", "log_softmax", "softmax"),
    "norm": ("BatchNorm1d", "BatchNorm2d"),
    "shift": SHIFT_LAYERS,
    "linear": LINEAR_LAYERS,
    "clamp": ("Hardtanh", "ReLU6", "hardtanh", "relu6", "clamp", "clip"),
    "smooth": (
        *(
            "Sigmoid",
            "Tanh",
            "Hardsigmoid",
            "Hardswish",
            "LeakyReLU",
            "ELU",
            "SELU",
            "CELU",
            "GELU",
            "SiLU",
            "Softplus",
        ),
        *(
            "Softsign",
            "sigmoid",
            "tanh",
            "hardsigmoid",
            "hardswish",
            "leaky_relu",
            "elu",
            "selu",
            "celu",
            "gelu",
            "silu",
        ),
        *("softplus", "softsign"),
    ),
    "discretizer": tuple(OURS),
    "sort": ("Sort", "TopK"),
    "mean": ("BinaryByMean",),
    "argmax": ("argmax",),
    "thermometer": THERMOMETERS,
    "luts": ("LUTLayer",),
    "vote": ("GroupSum",),
}

#: What is made of an operation here (a method of the walk), by its name.
KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}

#: The same in words.
KNOWN = (
    "shift and linear layers, convolutions, ReLU, max pooling, batch norm, discretizers, functions of one number, DWN's "
    "layers, flatten and view, dropout, and log_softmax or softmax at the end"
)

#: The layers that a tracer keeps whole.
WHOLE = (*SHIFT_LAYERS, *OURS, "Sort", "TopK", "BinaryByMean", "LUTLayer", "GroupSum", *THERMOMETERS)

#: The remedies for operations that users meet; others get the general remedy.
REMEDIES = dict.fromkeys(
    ("sub", "truediv", "div", "mul"), "If it normalises the input, do it first in forward, or say --normalize MEAN,STD."
) | {"add": "Branches that meet again have no hardware yet: train a network that is one chain."}
REMEDY = "Train without it; the hardware has no exact form of it."
