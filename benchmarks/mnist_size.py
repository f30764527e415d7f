"""A [2000, 1000] n=6 net on 784 8-bit inputs with 3 thresholds a feature: time and memory of every step.

    python benchmarks/mnist_size.py [--images MNIST_FOLDER] [--skip-verify]

``export`` (seconds, peak memory), ``verify`` on all test images (seconds, build included), ``predict`` (images a second, and as a
ratio to the same layers' torch forward in the same run). Random tables and wires: the worst case for every step. Without
``--images`` the images are random.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from dwn_hw import checkpoints, data, nn, reference, serialize
from dwn_hw.emulate import Emulator

LAYERS = (2000, 1000)


def random_model(path: Path, seed: int = 0) -> None:
    """Save a random net of that size, a learnable first mapping included."""
    torch.manual_seed(seed)
    thermometer = nn.DistributiveThermometer(3).fit(torch.randint(0, 256, (999, 784)).float())
    model = torch.nn.Sequential(
        nn.LUTLayer(784 * 3, LAYERS[0], n=6, mapping="learnable"),
        nn.LUTLayer(LAYERS[0], LAYERS[1], n=6),
        nn.GroupSum(10, tau=1 / 0.3),
    )
    checkpoints.save(model, path, thermometer=thermometer)


def images(folder: Path | None) -> np.ndarray:
    """The 10,000 MNIST test images, or as many random ones, as (10000, 784) of uint8."""
    if folder is None:
        return np.random.default_rng(0).integers(0, 256, (10_000, 784), dtype=np.uint8)
    raw = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(10_000, 784)


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
    forward = reference.torch_reference(trained)
    assert forward is not None

    def ours() -> None:
        emulator.run(codes)

    def theirs() -> None:
        with torch.no_grad():
            for part in torch.from_numpy(x.copy()).split(1000):
                forward((part.float()[:, :, None] > thermometer).float().flatten(1).numpy()).argmax(1)

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
    parser.add_argument("--images", type=Path)
    parser.add_argument("--skip-verify", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        model, out, file = place / "model.pt", place / "out", place / "images.npz"
        random_model(model)
        x = images(arguments.images)
        np.savez(file, x=x)
        seconds, peak = timed_command("export", str(model), "-o", str(out), "--input-format", "u8")
        print(f"export   {seconds:6.1f} s, {peak} MiB", flush=True)
        ours, theirs = predict_rate(out, model, x)
        print(
            f"predict  {ours:,.0f} images a second; torch forward {theirs:,.0f}; ratio {ours / theirs:.1f}", flush=True
        )
        if not arguments.skip_verify:
            samples = data.load(file)
            seconds, _ = timed_command("verify", str(out), "--data", str(file))
            print(f"verify   {seconds:6.1f} s with the build, {len(samples)} images and the directed vectors")


if __name__ == "__main__":
    main()
