"""Images a second of a network of look-up tables, all sides in one run, on the same images and exactly equal.

    python benchmarks/emulation.py [--images 1000000] [--luts 2000 1000] [--features 784] [--bits 3] [--threads N] [--rounds 3]

A random network with tables of 6 inputs and 10 classes, on features of a byte. Sides: the emulation that ``predict`` uses, from
bytes; its kernel from bits that are packed already; the emulator in numpy; the layers as a torch forward; an engine in C written
for this benchmark (bit-sliced as the kernel, one multiplexer tree a table, ``cc -O3 -march=native``); and the floor: the time to
read the bytes from memory once. Medians of so many rounds, in which all sides run in turn; the slower ones get fewer images.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import turns

from dwn_hw import _assets, ir, nn
from dwn_hw.ir import emulate_compiled
from dwn_hw.ir.emulate import Emulator

#: The engine of the benchmark: 512 samples a block, planes of 8 words; bits come from comparisons of bytes.
ENGINE = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#define W 8
typedef uint64_t plane[W];
static void layer(const plane *in, plane *out, int luts, const int32_t *wires, const uint64_t *tables)
{
    for (int j = 0; j < luts; j++) {
        plane level[32];
        const int32_t *x = wires + 6 * j;
        for (int i = 0; i < 32; i++) {
            uint64_t low = -(tables[j] >> 2 * i & 1), change = low ^ -(tables[j] >> (2 * i + 1) & 1);
            for (int w = 0; w < W; w++) level[i][w] = low ^ (change & in[x[0]][w]);
        }
        for (int k = 1, n = 16; k < 6; k++, n /= 2)
            for (int i = 0; i < n; i++)
                for (int w = 0; w < W; w++)
                    level[i][w] = level[2 * i][w] ^ ((level[2 * i][w] ^ level[2 * i + 1][w]) & in[x[k]][w]);
        memcpy(out[j], level[0], sizeof(plane));
    }
}
void run(const uint8_t *codes, long first, long last, int features, int bits, const uint8_t *thresholds, int layers,
         const int32_t *luts, const int32_t *wires, const uint64_t *tables, int classes, int64_t *y)
{
    int widest = features * bits;
    for (int i = 0; i < layers; i++) widest = luts[i] > widest ? luts[i] : widest;
    plane *a = aligned_alloc(64, widest * sizeof(plane)), *b = aligned_alloc(64, widest * sizeof(plane));
    uint8_t *column = malloc((size_t)features * 64 * W);
    for (long at = first; at < last; at += 64 * W) {
        long count = last - at < 64 * W ? last - at : 64 * W;
        for (long s = 0; s < 64 * W; s++)
            for (int f = 0; f < features; f++)
                column[f * 64 * W + s] = codes[(at + (s < count ? s : count - 1)) * features + f];
        for (int f = 0; f < features; f++)
            for (int t = 0; t < bits; t++)
                for (int w = 0; w < W; w++) {
                    uint64_t word = 0;
                    for (int s = 0; s < 64; s++)
                        word |= (uint64_t)(column[f * 64 * W + 64 * w + s] >= thresholds[f * bits + t]) << s;
                    a[f * bits + t][w] = word;
                }
        const int32_t *x = wires;
        const uint64_t *t = tables;
        plane *in = a, *out = b;
        for (int i = 0; i < layers; i++) {
            layer(in, out, luts[i], x, t);
            x += 6 * luts[i];
            t += luts[i];
            plane *kept = in; in = out; out = kept;
        }
        int each = luts[layers - 1] / classes;
        for (long s = 0; s < count; s++) y[at + s] = -1;
        int best[64 * W];
        for (int c = 0; c < classes; c++) {
            int total[64 * W] = {0};
            for (int j = c * each; j < (c + 1) * each; j++)
                for (int w = 0; w < W; w++)
                    for (int s = 0; s < 64; s++) total[64 * w + s] += in[j][w] >> s & 1;
            for (long s = 0; s < count; s++)
                if (!c || total[s] > best[s]) best[s] = total[s], y[at + s] = c;
        }
    }
    free(a); free(b); free(column);
}
"""


def network(features: int, bits: int, luts: list[int], seed: int = 0) -> ir.Network:
    """A random network of tables of 6 inputs."""
    rng = np.random.default_rng(seed)
    rows = tuple(tuple(sorted(rng.integers(1, 256, bits).tolist())) for _ in range(features))
    nodes: list[ir.Node] = [ir.Thermometer(rows)]
    width = features * bits
    for count in luts:
        wires = tuple(tuple(row) for row in rng.integers(0, width, (count, 6)).tolist())
        nodes.append(ir.LutLayer(wires, tuple(int.from_bytes(rng.bytes(8), "little") for _ in range(count))))
        width = count
    return ir.Network(ir.Input((features,), (ir.Format(8),)), (*nodes, ir.GroupSum(10), ir.ArgMax()))


def engine(made: ir.Network, threads: int, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The engine in C for a network."""
    (folder / "engine.c").write_text(ENGINE)
    command = ["cc", "-O3", "-march=native", "-shared", "-fPIC", "engine.c", "-o", "engine.so"]
    subprocess.run(command, cwd=folder, check=True)
    run = ctypes.CDLL(str(folder / "engine.so")).run
    layers = [node for node in made.nodes if isinstance(node, ir.LutLayer)]
    assert made.encoder is not None
    thresholds = np.array(made.encoder.thresholds, np.uint8)
    luts = np.array([len(layer.tables) for layer in layers], np.int32)
    wires = np.concatenate([np.array(layer.wires, np.int32) for layer in layers])
    tables = np.concatenate([np.array(layer.tables, np.uint64) for layer in layers])

    def call(codes: np.ndarray) -> np.ndarray:
        from concurrent.futures import ThreadPoolExecutor

        y = np.empty(len(codes), np.int64)
        step = -(-len(codes) // (threads * 512)) * 512

        def part(first: int) -> None:
            last = min(len(codes), first + step)
            place = [ctypes.c_void_p(array.ctypes.data) for array in (codes, thresholds, luts, wires, tables, y)]
            run(place[0], ctypes.c_long(first), ctypes.c_long(last), codes.shape[1], thresholds.shape[1], place[1], len(luts),
                place[2], place[3], place[4], 10, place[5])  # fmt: skip

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, range(0, len(codes), step)))
        return y

    return call


def forward(made: ir.Network) -> Callable[[np.ndarray], np.ndarray]:
    """The layers as torch modules, in evaluation mode, on thermometer bits that are made in torch too."""
    assert made.encoder is not None
    thresholds = torch.tensor(made.encoder.thresholds, dtype=torch.int16)
    modules: list[torch.nn.Module] = []
    width = thresholds.numel()
    for node in made.nodes:
        if isinstance(node, ir.LutLayer):
            layer = nn.LUTLayer(width, len(node.tables), n=6, mapping=torch.tensor(node.wires, dtype=torch.int32))
            bits = [[table >> a & 1 for a in range(64)] for table in node.tables]
            layer.luts.data = torch.tensor(bits, dtype=torch.float32) * 2 - 1
            modules.append(layer)
            width = len(node.tables)
    model = torch.nn.Sequential(*modules, nn.GroupSum(10)).eval()

    def call(codes: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            parts = torch.from_numpy(codes).split(2048)
            found = [model((p.to(torch.int16)[:, :, None] >= thresholds).flatten(1).float()).argmax(1) for p in parts]
            return torch.cat(found).numpy()

    return call


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--luts", type=int, nargs="+", default=[2000, 1000])
    parser.add_argument("--features", type=int, default=784)
    parser.add_argument("--bits", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Run all sides in turn and print the table."""
    asked = arguments()
    os.cpu_count = lambda: asked.threads  # type: ignore[assignment]
    torch.set_num_threads(asked.threads)
    made = network(asked.features, asked.bits, asked.luts)
    codes = np.random.default_rng(1).integers(0, 256, (asked.images, asked.features), np.uint8)

    os.environ[_assets.VARIABLE] = "numba"
    cached = emulate_compiled.is_compiled()
    started = time.perf_counter()
    compiled = emulate_compiled.CompiledNetwork(made)
    compiled.run(codes[:2000])
    print(f"first call {time.perf_counter() - started:.1f} s ({'kept from before' if cached else 'compiled'})")
    encoded = Emulator(made.upto(1))
    few = codes[: min(100_000, asked.images)]
    once = encoded.run(few)[1].T.astype(bool)
    words = -(-len(few) // 1024) * 16
    bits = np.zeros((len(once), words * 8), np.uint8)
    bits[:, : -(-len(few) // 8)] = np.packbits(once, axis=1, bitorder="little")
    planes = np.ascontiguousarray(np.tile(bits.view(np.uint64), (1, -(-asked.images // len(few)))))

    def numpy_emulator(part: np.ndarray) -> np.ndarray:
        os.environ[_assets.VARIABLE] = "numpy"
        try:
            return Emulator(made).run(part)[1]
        finally:
            os.environ[_assets.VARIABLE] = "numba"

    with tempfile.TemporaryDirectory() as name:
        in_c = engine(made, asked.threads, Path(name))
        in_torch = forward(made)
        tenth, hundredth = codes[: max(1, asked.images // 10)], codes[: max(1, asked.images // 100)]
        sides: dict[str, tuple[int, Callable[[], np.ndarray | None]]] = {
            "kernel, from bytes": (len(codes), lambda: Emulator(made).run(codes)[1]),
            "kernel, from packed bits": (asked.images, lambda: compiled.run_packed(planes, asked.images)[1]),
            "numpy emulator": (len(tenth), lambda: numpy_emulator(tenth)),
            "torch forward": (len(hundredth), lambda: in_torch(hundredth)),
            "engine in C": (len(codes), lambda: in_c(codes)),
            "floor: bytes read once": (len(codes), lambda: codes.view(np.uint64).sum(axis=None, keepdims=True)),
        }
        wanted = Emulator(made).run(codes)[1]
        for name_, (count, side) in sides.items():
            got = side()
            if "floor" not in name_:
                count = min(count, len(few)) if "packed" in name_ else count
                assert got is not None
                assert (got[:count] == wanted[:count]).all(), f"{name_} differs"
        seconds = turns.medians({side: work for side, (_, work) in sides.items()}, asked.rounds)
    layers = ", ".join(map(str, asked.luts))
    print(f"[{layers}] n=6, {asked.features} bytes, {asked.bits} thresholds a feature, {asked.threads} threads")
    print(f"{asked.images:,} images, all sides equal")
    rates = {side: sides[side][0] / taken for side, taken in seconds.items()}
    for side, rate in rates.items():
        print(f"{side:26} {rate:12,.0f} images a second   kernel / this {rates['kernel, from bytes'] / rate:6.2f}")


if __name__ == "__main__":
    main()
