"""Takes a live module apart by ``torch.fx`` into a chain of steps, and names everything that has no exact form at once.

Shift layers, ours and upstream's, are known by their class names and attributes, so that no other package is needed. Functional
forms, methods and modules of an operation are one thing here. Shapes come from running the graph once, on zeros.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx

from dwn_hw import ir
from dwn_hw.errors import IRError
from dwn_hw.frontend.module_state import Findings
from dwn_hw.frontend.pickles.standins import shown
from dwn_hw.frontend.shift.read_layers import pair, read_layer
from dwn_hw.frontend.shift.trained_shift import (
    SHIFT_LAYERS,
    Doubles,
    Scaled,
    TrainedShift,
    TrainedStep,
    Weighted,
    has_shift_layers,
)
from dwn_hw.frontend.trained_dwn import Scaler
from dwn_hw.ir.edges import Ints

#: The names of an operation as a module, as a function and as a method, and what is made of it here.
_KINDS = {
    "relu": ("ReLU", "relu", "relu_"),
    "pool": ("MaxPool2d", "max_pool2d"),
    "reshape": (
        "Flatten",
        "Unflatten",
        "flatten",
        "unflatten",
        "view",
        "reshape",
        "squeeze",
        "unsqueeze",
        "contiguous",
    ),
    "dropout": ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "Identity"),
    "random": ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
    "softmax": ("LogSoftmax", "Softmax", "log_softmax", "softmax"),
    "norm": ("BatchNorm1d", "BatchNorm2d"),
    "shift": SHIFT_LAYERS,
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}

_POOL_ARGUMENTS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")

_KNOWN = "shift layers, ReLU, max pooling, batch norm, flatten and view, dropout, and log_softmax or softmax at the end"

#: The remedies for operations that users meet; others get the general remedy.
_REMEDIES = {
    "Linear": "Its weights are no powers of two: dwn_hw.nn.convert_to_shift(model, …) makes a LinearShift of it; train on.",
    "Conv2d": "Its weights are no powers of two: dwn_hw.nn.convert_to_shift(model, …) makes a Conv2dShift of it; train on.",
    "sub": "If it normalises the input, take it out of forward and say --normalize MEAN,STD.",
    "truediv": "If it normalises the input, take it out of forward and say --normalize MEAN,STD.",
    "add": "Branches that meet again have no hardware yet: train a network that is one chain.",
}
_REMEDY = "Train without it; the hardware has no exact form of it."

#: The number of samples that the graph is run on: more than one, so that a shape without the axis of samples shows.
_BATCH = 2


class _Tracer(fx.Tracer):
    """A tracer that keeps shift layers whole, whichever package they are from; if ``shut``, the user's own modules without one
    as well, whose forward may be one that nobody can trace.
    """

    def __init__(self, shut: bool = False) -> None:
        super().__init__()
        self.shut = shut

    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        """Whether the tracer does not look inside a module."""
        whole = type(m).__name__ in SHIFT_LAYERS or (self.shut and not has_shift_layers(m))
        return whole or super().is_leaf_module(m, module_qualified_name)


class _Shapes(fx.Interpreter):
    """Runs a graph and remembers the shape of every tensor in it."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.shapes: dict[fx.Node, Ints] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node, and remember the shape of its tensor."""
        value = super().run_node(n)
        if isinstance(value, torch.Tensor) and n.op != "output":
            self.shapes[n] = tuple(value.shape)
        return value


def first_width(module: torch.nn.Module) -> int | None:
    """The number of a sample's values, where the first layer says it, as a linear one does; else None."""
    first = next(
        (m for m in module.modules() if not list(m.children()) and next(m.parameters(), None) is not None), None
    )
    width = getattr(first, "in_features", None)
    return width if isinstance(width, int) else None


def begins_linear(module: torch.nn.Module) -> bool:
    """Whether a module is a chain whose first layer is a linear shift layer, which takes samples of one axis alone."""
    return isinstance(module, torch.nn.Sequential) and type(module[0]).__name__ in SHIFT_LAYERS[:2]


def trace(module: torch.nn.Module, shape: Ints, scaler: Scaler | None = None, source: str = "") -> TrainedShift:
    """Take ``module`` apart into its chain of steps, for samples of ``shape`` without the axis of samples.

    The module is left as it is. Raises CheckpointError with every reason why it cannot be hardware.
    """
    model = copy.deepcopy(module).eval().cpu()
    found = Findings(source or type(module).__name__)
    graph, shapes = _graph(model, shape, found)
    # The graph's copy has run, and shift layers clamp their parameters when they run: those of the module are read.
    steps, left_out = _Walk(module, graph, shapes, found).steps()
    if not any(isinstance(step, Weighted) for step in steps):
        found.add("", "must have a shift layer", "none", "dwn_hw.nn.convert_to_shift makes them of Linear and Conv2d.")
    found.stop()
    return TrainedShift(shape, tuple(steps), _original(module), scaler, left_out, found.source)


def _original(module: torch.nn.Module) -> Any:
    """A function that runs the model as it was given, some samples at a time. It has a copy, since shift layers clamp their
    parameters when they run.
    """
    model = copy.deepcopy(module).eval().cpu()
    dtype = next(model.parameters()).dtype

    def run(x: npt.NDArray[Any]) -> Doubles:
        with torch.no_grad():
            parts = [model(torch.from_numpy(part).to(dtype)).double().numpy() for part in _parts(x)]
        return np.concatenate(parts)

    return run


def _parts(x: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
    return [x[start : start + 256] for start in range(0, len(x), 256)]


def _graph(model: torch.nn.Module, shape: Ints, found: Findings) -> tuple[fx.GraphModule, dict[fx.Node, Ints]]:
    try:
        graph = _traced(model)
    except Exception as error:  # noqa: BLE001 - forward is code of the user
        remedy = "Write forward so that it does the same for all samples: no if and no loop that depends on values."
        found.add("forward", "must be traceable by torch.fx", f"{type(error).__name__}: {shown(str(error))}", remedy)
        raise found.error() from None
    runner = _Shapes(graph)
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    try:
        with torch.no_grad():
            runner.run(torch.zeros((_BATCH, *shape), dtype=dtype))
    except Exception as error:  # noqa: BLE001 - forward is code of the user
        lines = [line for line in str(error).splitlines() if line.strip()]
        rule = f"must take samples of shape ({', '.join(map(str, shape))})"
        got = f"{type(error).__name__}: {shown(lines[0] if lines else '')}"
        found.add("forward", rule, got, "Give the shape of one sample: --input-shape 1,28,28.")
        raise found.error() from None
    return graph, runner.shapes


def _traced(model: torch.nn.Module) -> fx.GraphModule:
    """The graph of ``forward`` with the values that its other arguments have by default.

    Where that cannot be traced, the modules of the user's own that hold no shift layer are each one operation of it.
    """
    parameters = list(inspect.signature(model.forward).parameters.values())[1:]
    defaults = {
        p.name: p.default for p in parameters if p.default is not p.empty and not isinstance(p.default, torch.Tensor)
    }
    try:
        return fx.GraphModule(model, _Tracer().trace(model, concrete_args=defaults or None))
    except Exception:
        if has_shift_layers(model) and type(model).__name__ not in SHIFT_LAYERS:
            return fx.GraphModule(model, _Tracer(shut=True).trace(model, concrete_args=defaults or None))
        raise


class _Walk:
    """The nodes of a graph in order, each made a step, or a problem."""

    def __init__(
        self, module: torch.nn.Module, graph: fx.GraphModule, shapes: dict[fx.Node, Ints], found: Findings
    ) -> None:
        self.module, self.graph, self.shapes, self.found = module, graph, shapes, found
        self.made: list[TrainedStep] = []
        self.left_out: list[str] = []
        self.refused: set[str] = set()  # the parts that have been named
        self.ended = ""  # the softmax, after which nothing may come

    def steps(self) -> tuple[list[TrainedStep], tuple[str, ...]]:
        """All steps, and what was left out because it changes no class."""
        last: fx.Node | None = None
        for node in self.graph.graph.nodes:
            if node.op == "placeholder" and node in self.shapes and last is None:
                last = node
            elif node.op == "output":
                self._end(node, last)
            elif node in self.shapes and node.op in ("call_module", "call_function", "call_method"):
                self._one(node, last)
                last = node
        return self.made, tuple(self.left_out)

    def _one(self, node: fx.Node, last: fx.Node | None) -> None:
        name, part, module = self._name(node)
        kind = _KIND_OF.get(name)
        if kind is None:
            owner = self._owner(node) if module is None else None
            got = f"{name}" if module is None else f"a layer {name}"
            if owner is not None:  # of which each operation inside says nothing that the layer's name does not
                part, got = owner, f"a layer {type(self.module.get_submodule(owner)).__name__} (it does {name})"
            if part not in self.refused:
                self.found.add(part, f"a network must be a chain of {_KNOWN}", got, _REMEDIES.get(name, _REMEDY))
            self.refused.add(part)
            return
        if [i for i in node.all_input_nodes if i in self.shapes] != [last]:
            rule, remedy = "must read what comes before it, and nothing else", _REMEDIES["add"]
            self.found.add(part, rule, f"{', '.join(map(str, node.all_input_nodes))}", remedy)
        if self.ended and kind not in ("dropout", "reshape"):
            self.found.add(self.ended, "must come last", f"{part} behind it", "Leave it out of forward.")
        assert last is not None
        getattr(self, f"_{kind}")(node, part, module, self.shapes[last][1:])

    def _owner(self, node: fx.Node) -> str | None:
        """The outermost layer of the user's own, without a shift layer in it, that an operation stands in; None for none."""
        for path, _ in node.meta.get("nn_module_stack", {}).values():
            if path and not has_shift_layers(self.module.get_submodule(path)):
                return str(path)
        return None

    def _name(self, node: fx.Node) -> tuple[str, str, torch.nn.Module | None]:
        """The name of what a node does, the part of the model for a message, and the layer if it is one."""
        if node.op == "call_module":
            module = self.module.get_submodule(str(node.target))
            return type(module).__name__, str(node.target), module
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        return name.lstrip("_"), f"{node.name} in forward", None

    def _end(self, node: fx.Node, last: fx.Node | None) -> None:
        if node.args[0] is not last or last is None:
            rule, remedy = "must return the result of its last operation", "Return one tensor of scores."
            self.found.add("forward", rule, f"{node.args[0]}", remedy)
        elif len(self.shapes[last]) != 2:
            rule, remedy = "must give one row of scores a sample", "Flatten before the last layer."
            self.found.add("forward", rule, f"shape {self.shapes[last][1:]}", remedy)

    def _shift(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if "Linear" in type(module).__name__ and len(before) != 1:
            got, remedy = f"samples of shape {before}", "Flatten before it: torch.flatten(x, 1)."
            self.found.add(part, "must read one row of numbers a sample", got, remedy)
        layer = read_layer(part, module, self.found)
        if layer is not None:
            self.made.append(layer)

    def _relu(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        self.made.append(ir.Relu())

    def _pool(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if module is None:
            options = dict(zip(_POOL_ARGUMENTS, node.args[1:], strict=False)) | dict(node.kwargs)
        else:
            options = {name: getattr(module, name) for name in _POOL_ARGUMENTS}
        kernel = pair(options["kernel_size"])
        stride = kernel if options.get("stride") in (None, [], ()) else pair(options["stride"])
        try:
            pool = ir.MaxPool2d(kernel, stride, pair(options.get("padding", 0)), pair(options.get("dilation", 1)))
            shape = pool.output(ir.Edge(before, (ir.BIT,))).shape
        except IRError as error:
            self.found.add(part, "must be a max pool of images", error.problems[0].got, error.problems[0].rule + ".")
            return
        if shape != self.shapes[node][1:]:
            got, remedy = "ceil_mode=True, which does", "Pad the image, or train without ceil_mode."
            self.found.add(part, "must not reach beyond the image's rim", got, remedy)
        self.made.append(pool)

    def _reshape(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        samples, *shape = self.shapes[node]
        if samples != _BATCH or not shape:
            got, remedy = f"shape {self.shapes[node]} for {_BATCH} samples", "Say x.view(x.size(0), -1)."
            self.found.add(part, "must keep samples apart", got, remedy)
        elif tuple(shape) != before:
            self.made.append(ir.Reshape(tuple(shape)))

    def _dropout(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        """Leave dropout out, which does nothing at inference."""

    def _random(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        training = node.kwargs.get("training", node.args[2] if len(node.args) > 2 else True)
        if training:
            remedy = "Say F.dropout(x, training=self.training)."
            self.found.add(part, "must do nothing at inference", "F.dropout without training=", remedy)

    def _softmax(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        dim = getattr(module, "dim", node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None))
        if dim not in (None, 1, -1) or len(before) != 1:
            got = f"dim={dim} of samples of shape {before}"
            self.found.add(part, "must be of the scores of one sample", got, "Say dim=1.")
        self.ended = part
        self.left_out.append(f"{self._name(node)[0]} (keeps the order of scores)")

    def _norm(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if module.running_mean is None or module.running_var is None:
            remedy = "Train with track_running_stats=True."
            self.found.add(part, "must have fixed statistics at inference", "none kept", remedy)
            return
        if not any(isinstance(step, Weighted) for step in self.made):
            remedy = "Take it out, and say --normalize MEAN,STD."
            self.found.add(part, "batch norm must stand behind a shift layer", "none before it", remedy)
            return
        mean, variance = (v.double().numpy() for v in (module.running_mean, module.running_var))
        ones = np.ones_like(mean)
        gain = ones if module.weight is None else module.weight.detach().double().numpy()
        start = 0 * ones if module.bias is None else module.bias.detach().double().numpy()
        scale = gain / np.sqrt(variance + module.eps)
        offset = start - mean * scale
        if not (np.isfinite(scale).all() and np.isfinite(offset).all()):
            self.found.add(part, "scales and offsets must be finite", "NaN or infinity", "Train again.")
            return
        self.made.append(Scaled(part, scale, offset))
