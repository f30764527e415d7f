"""Compiles what each launcher of Triton's kernels launches, for GPUs that are not there: ``python tests/triton_machine_code.py``.

Triton's wheel brings the whole way to machine code, so that only running it needs a GPU. Prints a line a kernel: name, target,
bytes of machine code and of shared memory.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["TRITON_INTERPRET"] = "0"

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from dwn_hw import _assets
from dwn_hw.nn import triton_kernels, triton_planes

TARGETS = [GPUTarget("cuda", 80, 32), GPUTarget("cuda", 90, 32)]

TYPES = {
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.uint8: "*u8",
    torch.int16: "*i16",
    torch.int32: "*i32",
    torch.int64: "*i64",
}


def compiler(file):
    """What stands in for a module's ``_launch``: as a launch does, it makes a constant of an integer that is 1."""

    def launch(name, grid, arguments, constants=None, **more):
        function = _assets.kernel(file).__dict__[name]
        given = dict(zip(function.arg_names, arguments, strict=False))
        fixed = {**(constants or {}), **more} | {
            key: 1 for key, value in given.items() if type(value) is int and value == 1
        }
        signature = {
            key: "constexpr" if key in fixed else TYPES[value.dtype] if isinstance(value, torch.Tensor) else "i32"
            for key, value in (given | fixed).items()
        }
        ordered = {key: signature[key] for key in function.arg_names}
        for target in TARGETS:
            source = ASTSource(fn=function, signature=ordered, constexprs=fixed)
            made = triton.compile(source, target=target, options={"enable_fp_fusion": True})
            print(name, target.arch, len(made.asm["cubin"]), made.metadata.shared, flush=True)

    return launch


def training(n, dtype, samples=128, inputs=300, luts=200):
    """All launches of a training step."""
    x, tables = torch.zeros(samples, inputs, dtype=dtype), torch.zeros(luts, 1 << n, dtype=dtype)
    wires = torch.zeros(luts, n, dtype=torch.int32)
    _, addresses = triton_kernels.look_up(x, wires, tables, True)
    triton_kernels.look_up(x.bool(), wires, tables, False)
    grads = torch.zeros(samples, luts, dtype=dtype)
    triton_kernels.table_gradients(tables, addresses, grads)
    slots = triton_kernels.slot_gradients(tables, addresses, grads, 0.3, 0.4, by_slot=True)
    places = torch.zeros(inputs + 1, dtype=torch.int64), torch.zeros(luts * n, dtype=torch.int64)
    triton_kernels.input_gradients(slots, *places, dtype=dtype)
    triton_planes.evaluate(x, wires, tables)


def mappings(dtype, samples=128, inputs=300, slots=600):
    """All launches of learned mappings."""
    x, grads = torch.zeros(samples, inputs, dtype=dtype), torch.zeros(slots, samples, dtype=dtype)
    few, places = torch.zeros(16, slots, dtype=dtype), torch.zeros(16 * slots, dtype=torch.int64)
    candidates = torch.zeros(16, slots, dtype=torch.int32)
    triton_kernels.choose(few, candidates)
    triton_kernels.candidate_weight_gradients(x, candidates, grads)
    triton_kernels.candidate_weight_gradients(triton_planes.pack(x.bool()), candidates, grads)
    triton_kernels.input_gradients(grads, torch.zeros(inputs + 1, dtype=torch.int64), places, few)
    weights = torch.zeros(inputs, slots, dtype=dtype)
    chosen = triton_kernels.choose(weights)
    triton_kernels.weight_gradients(x, grads.t(), dtype)
    triton_kernels.shared_input_gradients(weights, chosen, grads.t(), 0.001, dtype)


def emulation():
    """All launches of an emulator."""
    features = torch.zeros(90, dtype=torch.int32)
    for codes, thresholds in ((torch.uint8, torch.int32), (torch.int16, torch.int32), (torch.int64, torch.int64)):
        triton_planes.encode(torch.zeros(30, 1000, dtype=codes), features, torch.zeros(90, dtype=thresholds))
    planes = torch.zeros(90, 32, dtype=torch.int32)
    firsts, members = torch.zeros(11, dtype=torch.int64), torch.zeros(90, dtype=torch.int32)
    for kind in (torch.int32, torch.int64):
        triton_planes.vote(planes, firsts, members, torch.zeros(90, dtype=kind), torch.zeros(10, dtype=kind), 1000)
    for n in range(1, 9):
        tables = torch.zeros(90, max(1, (1 << n) // 32), dtype=torch.int32)
        wires = torch.zeros(90, n, dtype=torch.int32)
        triton_planes.look_up(planes, wires, tables, torch.zeros_like(planes), features)


def main():
    """Compile all of them."""
    triton_kernels._launch = compiler("train_luts_triton.py")
    triton_planes._launch = compiler("emulate_luts_triton.py")
    for n in range(1, 9):
        training(n, torch.float32)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        training(6, dtype)
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        mappings(dtype)
    # The least blocks.
    for n in (1, 2, 3):
        training(n, torch.float32, 1, 1, 1)
    mappings(torch.float32, 1, 1, 1)
    emulation()


if __name__ == "__main__":
    main()
