"""A [2000, 1000] n=6 net on 784 8-bit inputs with 3 thresholds a feature: time and memory of every step.

    python benchmarks/mnist_size.py [--data FOLDER] [--skip-verify]

``export`` (seconds, peak memory), ``verify`` on all test images (seconds, build included), ``predict`` (images a second, and as a
ratio to the same layers' torch forward in the same run). Random tables and wires: the worst case for every step. The net is
``random-2000-1000`` of :mod:`nets`; without ``--data`` the images are random too.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nets
import numpy as np
import torch

from dwn_hw.frontend import checkpoints, torch_reference
from dwn_hw.ir import sample_files, serialize
from dwn_hw.ir.emulate import Emulator

FORMAT = "u8/255"


def images(data: Path | None) -> np.ndarray:
    """The 10,000 MNIST test images, or as many random ones, as (10000, 784) of uint8."""
    if sample_files is None:
        return np.random.default_rng(0).integers(0, 256, (10_000, 784), dtype=np.uint8)
    return (nets.images(sample_files).x_test * 255).round().to(torch.uint8).numpy()


def timed_command(*command: str) -> tuple[float, int]:
    """Seconds and peak MiB (the largest single process) of ``dwn-hw`` with these arguments."""
    started = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("dwn-hw"), *command, "--quiet"], check=True)
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def predict_rate(folder: Path, model: Path, x: np.ndarray) -> tuple[float, float]:
    """Images a second of ``predict``'s emulator and of the torch forward, best of five, in turn."""
    network = serialize.load(folder / "network.safetensors")
    emulator, codes = Emulator(network), np.tile(x, (6, 1))
    trained = checkpoints.load(model)
    thermometer = torch.from_numpy(trained.thresholds.copy())
    forward = torch_reference.torch_reference(trained)
    assert forward is not None

    def ours() -> None:
        emulator.run(codes)

    def theirs() -> None:
        with torch.no_grad():
            for part in (torch.from_numpy(x) / 255).split(1000):
                forward((part[:, :, None] > thermometer).float().flatten(1).numpy()).argmax(1)

    best = {"ours": 1e9, "theirs": 1e9}
    for _ in range(5):
        for name, function in (("ours", ours), ("theirs", theirs)):
            started = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - started)
    return len(codes) / best["ours"], len(x) / best["theirs"]


def main() -> None:
    """Run all steps and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the data folder of nets.py")
    parser.add_argument("--skip-verify", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        model, out, file = place / "model.pt", place / "out", place / "images.npz"
        torch.save(nets.make(nets.NETS["random-2000-1000"], place), model)
        x = images(arguments.data)
        np.savez(file, x=x.astype(np.float32) / np.float32(255))
        seconds, peak = timed_command("export", str(model), "-o", str(out), "--input-format", FORMAT)
        print(f"export   {seconds:6.1f} s, {peak} MiB", flush=True)
        ours, theirs = predict_rate(out, model, x)
        print(
            f"predict  {ours:,.0f} images a second; torch forward {theirs:,.0f}; ratio {ours / theirs:.1f}", flush=True
        )
        if not arguments.skip_verify:
            samples = sample_files.load(file)
            seconds, _ = timed_command("verify", str(out), "--data", str(file))
            print(f"verify   {seconds:6.1f} s with the build, {len(samples)} images and the directed vectors")


if __name__ == "__main__":
    main()
