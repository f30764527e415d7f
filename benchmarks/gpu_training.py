"""Milliseconds of a training step on a GPU, and of each of Triton's kernels, beside torch, torch_dwn and the memory's floor.

    python benchmarks/gpu_training.py [--luts 2000 1000] [--inputs 2352] [--batch 128] [--candidates 16] [--rounds 21]

Sides, in turn in one run, medians, each waited for: a step with all inputs as candidates, with some, and with drawn wires, by
Triton and in torch alone; the first with torch_dwn's layers, where that is installed with its CUDA kernels; its floors: one
product of its gradient's shapes and Adam, and a copy of what Adam reads and writes. Then every kernel, and torch's form of it.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Mapping

import torch
import turns
from torch import nn
from torch.nn.functional import cross_entropy
from training_step import with_kernels

from dwn_hw.errors import OptionError
from dwn_hw.nn import GroupSum, LUTLayer, devices, lut_layer, triton_kernels, triton_luts, triton_planes
from dwn_hw.nn.adam import Adam
from dwn_hw.nn.training import step

Work = Callable[[], object]

#: Inputs of a LUT.
_N = 6


def bits(asked: argparse.Namespace, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of bits as numbers, and its classes."""
    torch.manual_seed(0)
    x = (torch.rand(asked.batch, asked.inputs) > 0.5).float()
    return x.to(device), torch.randint(0, 10, (asked.batch,)).to(device)


def step_of(asked: argparse.Namespace, device: torch.device, **first: object) -> Work:
    """A step of training, as ``dwn-hw train`` takes it, of a network whose first layer has these arguments."""
    x, y = bits(asked, device)
    widths = [asked.inputs, *asked.luts]
    layers = [
        LUTLayer(a, b, n=_N, **(first if not i else {}))
        for i, (a, b) in enumerate(zip(widths, asked.luts, strict=False))
    ]
    model = nn.Sequential(*layers, GroupSum(10, tau=3.3)).to(device).train()
    optimizer = Adam(model, lr=1e-2)
    return lambda: step(model, optimizer, x, y)


def upstream_step(asked: argparse.Namespace, device: torch.device) -> Work | str:
    """The same with torch_dwn's layers, all inputs as candidates; or why it is skipped."""
    try:
        theirs = importlib.import_module("torch_dwn")
    except ImportError as error:
        return f"torch_dwn is skipped: {error}"
    x, y = bits(asked, device)
    widths = [asked.inputs, *asked.luts]
    pairs = zip(widths, asked.luts, strict=False)
    layers = [theirs.LUTLayer(a, b, n=_N, mapping="random" if i else "learnable") for i, (a, b) in enumerate(pairs)]
    model = nn.Sequential(*layers, theirs.GroupSum(10, tau=3.3)).to(device).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-2, fused=device.type == "cuda")

    def work() -> None:
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()

    return work


def floors(asked: argparse.Namespace, device: torch.device) -> dict[str, Work]:
    """What the step with all inputs as candidates cannot do without."""
    slots = _N * asked.luts[0]
    x, grad = torch.randn(asked.batch, asked.inputs, device=device), torch.randn(asked.batch, slots, device=device)
    weights = nn.Parameter(torch.rand(asked.inputs, slots, device=device))
    optimizer = torch.optim.Adam([weights], lr=1e-2, fused=True)
    weights.grad = torch.empty_like(weights)
    held, other = (torch.empty(3 * weights.numel(), device=device) for _ in range(2))

    def product() -> None:
        torch.mm(x.T, grad, out=weights.grad)
        optimizer.step()

    return {"floor: product and Adam": product, "floor: weights and Adam's state, copied": lambda: other.copy_(held)}


def steps(asked: argparse.Namespace, device: torch.device) -> dict[str, Work]:
    """Every side of the step."""
    kinds: dict[str, Mapping[str, object]] = {
        "all inputs": {"mapping": "learnable"},
        f"{asked.candidates} candidates": {"mapping": "learnable", "candidates": asked.candidates},
        "drawn wires": {},
    }
    sides: dict[str, Work] = {}
    for name, first in kinds.items():
        for form in ("triton", "torch"):
            sides[f"{name}, {form}"] = with_kernels(form, step_of(asked, device, **first))
    theirs = upstream_step(asked, device)
    if isinstance(theirs, str):
        print(theirs)
    else:
        sides["all inputs, torch_dwn"] = theirs
    return sides | floors(asked, device)


def layer_kernels(asked: argparse.Namespace, device: torch.device) -> dict[str, tuple[Work, Work]]:
    """Kernels of a layer with wires that are drawn, each with torch's form."""
    x, _ = bits(asked, device)
    count, entries = asked.luts[0], 1 << _N
    wires = torch.randint(0, asked.inputs, (count, _N), dtype=torch.int32, device=device)
    luts = torch.rand(count, entries, device=device) * 2 - 1
    grads = torch.randn(asked.batch, count, device=device)
    _, addresses = triton_kernels.look_up(x, wires, luts, True)
    flat = lut_layer._addresses(x, wires, count, entries)
    by_slot = triton_kernels.slot_gradients(luts, addresses, grads, 0.5, 0.3, True)
    places = triton_luts.transposed(wires, asked.inputs)
    read = wires.flatten().long()

    def torch_look_up() -> object:
        return luts.flatten().index_select(0, lut_layer._addresses(x, wires, count, entries)) > 0

    def torch_slots() -> object:
        return lut_layer._differences(luts, 0.5, 0.3).index_select(0, flat).mul_(grads.view(-1, 1))

    def torch_tables() -> object:
        return luts.new_zeros(luts.numel()).scatter_add_(0, flat.long(), grads.flatten())

    return {
        "look_up": (lambda: triton_kernels.look_up(x, wires, luts, True), torch_look_up),
        "look_up, packed": (lambda: triton_planes.evaluate(x, wires, luts), torch_look_up),
        "slot_gradients": (lambda: triton_kernels.slot_gradients(luts, addresses, grads, 0.5, 0.3, True), torch_slots),
        "table_gradients": (lambda: triton_kernels.table_gradients(luts, addresses, grads), torch_tables),
        "input_gradients": (
            lambda: triton_kernels.input_gradients(by_slot, *places),
            lambda: torch.zeros(asked.inputs, asked.batch, device=device).index_add_(0, read, by_slot),
        ),
    }


def mapping_kernels(asked: argparse.Namespace, device: torch.device) -> dict[str, tuple[Work, Work]]:
    """Kernels of learned mappings, each with torch's form."""
    x, _ = bits(asked, device)
    slots, tau = _N * asked.luts[0], 0.001
    grads = torch.randn(slots, asked.batch, device=device)
    few = torch.rand(asked.candidates, slots, device=device)
    candidates = torch.randint(0, asked.inputs, few.shape, dtype=torch.int32, device=device)
    weights = torch.rand(asked.inputs, slots, device=device)
    chosen, planes = triton_kernels.choose(weights), triton_planes.pack(x)
    kept = x.t().mul(2).sub(1)

    def torch_few() -> object:
        return torch.stack([(kept[own.long()] * grads).sum(dim=1) for own in candidates])

    return {
        "choose, all inputs": (lambda: triton_kernels.choose(weights), lambda: weights.max(dim=0)),
        "choose, candidates": (lambda: triton_kernels.choose(few, candidates), lambda: few.max(dim=0)),
        "candidate_weight_gradients": (
            lambda: triton_kernels.candidate_weight_gradients(x, candidates, grads),
            torch_few,
        ),
        "candidate_weight_gradients, packed": (
            lambda: triton_kernels.candidate_weight_gradients(planes, candidates, grads),
            torch_few,
        ),
        "weight_gradients": (
            lambda: triton_kernels.weight_gradients(x, grads.t(), torch.float32),
            lambda: (2 * x - 1).T @ grads.t(),
        ),
        "shared_input_gradients": (
            lambda: triton_kernels.shared_input_gradients(weights, chosen, grads.t(), tau, torch.float32),
            lambda: grads.t() @ torch.softmax(weights / tau, dim=0).T,
        ),
    }


def waited(work: Work, device: torch.device) -> Work:
    """The work, and all that it left for the GPU to do."""

    def run() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def measure(asked: argparse.Namespace, device: torch.device) -> None:
    """Print both tables."""
    print(f"{devices.name_of(device)}; {asked.luts} on {asked.inputs} inputs, batch {asked.batch}")
    sides = {name: waited(work, device) for name, work in steps(asked, device).items()}
    seconds = turns.medians(sides, asked.rounds, warm=3)
    least = seconds["floor: product and Adam"]
    for side, taken in seconds.items():
        print(f"{side:42} {1000 * taken:9.3f} ms   step / floor {taken / least:8.3f}")
    pairs = layer_kernels(asked, device) | mapping_kernels(asked, device)
    each = {
        (name, form): waited(work, device)
        for name, both in pairs.items()
        for form, work in zip(("triton", "torch"), both, strict=True)
    }
    with_triton = turns.medians({" by ".join(key): work for key, work in each.items()}, asked.rounds, warm=3)
    for name in pairs:
        ours, theirs = with_triton[f"{name} by triton"], with_triton[f"{name} by torch"]
        print(f"{name:42} {1000 * ours:9.3f} ms   torch {1000 * theirs:9.3f} ms   torch / triton {theirs / ours:7.2f}")


def arguments() -> argparse.ArgumentParser:
    """What may be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--luts", type=int, nargs="+", default=[2000, 1000])
    parser.add_argument("--inputs", type=int, default=784 * 3)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=21)
    return parser


def main() -> None:
    """Measure on the GPU, or say that there is none."""
    parser = arguments()
    asked = parser.parse_args()
    try:
        device = devices.device_for("cuda")
        importlib.import_module("triton")
    except OptionError as error:
        parser.error(f"it measures on a GPU. {error}")
    except ModuleNotFoundError:
        parser.error("it measures Triton's kernels, and there is no triton: pip install 'dwn-hw[gpu]'")
    measure(asked, device)


if __name__ == "__main__":
    main()
