"""Digests of what exports write, over targets, encoders, shells, kinds of hardware and options: one line an export.

    python benchmarks/export_digests.py [--data FOLDER] [--only NAME ...] > before.txt

A change that should change no hardware prints the same lines before and after. Every model is drawn here from a fixed
seed, but for ``jsc``, the real checkpoint in ``FOLDER/torch_dwn-jsc``, which is left out without ``--data``. A line holds the
first 16 hexadecimal digits of SHA-256 over all of ``rtl/`` (names and bytes), over ``interface.json`` and over
``network.safetensors``.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import dwn_hw
from dwn_hw.nn import Conv2dShift, DistributiveThermometer, GroupSum, LinearShift, LUTLayer

#: Samples that an export is calibrated with, where it is.
CALIBRATION = 400


def lut_network(folder: Path) -> tuple[Any, dict[str, Any]]:
    """A DWN of 12 features and two layers, and samples of its own units."""
    torch.manual_seed(7)
    x = torch.from_numpy(np.random.default_rng(7).normal(size=(CALIBRATION, 12)).round(3).astype(np.float32))
    thermometer = DistributiveThermometer(9).fit(x)
    model = nn.Sequential(LUTLayer(12 * 9, 90, n=6, mapping="learnable"), LUTLayer(90, 40, n=4), GroupSum(4, tau=2.5))
    dwn_hw.save(model, folder / "luts.pt", thermometer=thermometer)
    return dwn_hw.load(folder / "luts.pt"), {"x": x.numpy()}


def shift_mlp(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Two dense layers of shifts on 16 features of 5 bits."""
    torch.manual_seed(8)
    x = np.random.default_rng(8).integers(0, 17, (CALIBRATION, 16)).astype(np.float32) / 16
    model = nn.Sequential(
        LinearShift(16, 12, weight_bits=5, floored=True), nn.ReLU(), LinearShift(12, 5, weight_bits=5, floored=True)
    )
    return model.eval(), {"x": x, "input_format": "u5/16"}


def shift_images(folder: Path) -> tuple[Any, dict[str, Any]]:
    """A convolution, a pool and a dense layer of shifts on small images."""
    torch.manual_seed(9)
    x = np.random.default_rng(9).integers(0, 256, (CALIBRATION, 1, 8, 8)).astype(np.float32) / 255
    model = nn.Sequential(
        *(Conv2dShift(1, 4, 3, padding=1, weight_bits=5), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), LinearShift(64, 6, weight_bits=5, floored=True)),
    )
    return model.eval(), {"x": x, "input_format": "u8/255", "input_shape": "1,8,8"}


MODELS: dict[str, Callable[[Path], tuple[Any, dict[str, Any]]]] = {
    "luts": lut_network,
    "mlp": shift_mlp,
    "images": shift_images,
}

#: The options of each export, by model.
EXPORTS: dict[str, tuple[dict[str, Any], ...]] = {
    "jsc": (
        {},
        {"target": "xc7"},
        {"target": "xc7", "use_scaler": False, "input_format": "sQ1.12", "shell": "none"},
        {"target": "ecp5", "clock_mhz": 150.0},
        {"target": "ice40", "encoder": "streamed", "shell": "uart"},
        {"target": "gowin", "latency": 9, "scores": True},
        {"optimize": False, "name": "jets"},
    ),
    "luts": (
        {"shell": "axis", "scores": True},
        {"target": "ice40", "shell": "uart"},
        {"target": "xc7", "encoder": "streamed", "name": "small"},
        {"target": "ecp5", "latency": 0, "shell": "none"},
        {"target": "gowin", "encoder": "streamed", "shell": "axis"},
        {"target": "xc7", "calibrate": True},
        {"target": "ecp5", "calibrate": True, "max_drop": 0.05},
    ),
    "mlp": (
        {"activations": "6.4"},
        {"activations": "6.4", "target": "xc7", "clock_mhz": 100.0, "scores": True},
        {"activations": "6.4", "shell": "uart", "latency": 3},
        {"activations": "6.4", "lanes": 4},
        {"activations": "6.4", "lanes": 1, "scores": True, "name": "mlp"},
        {"calibrate": True, "lanes": 4},
    ),
    "images": (
        {"activations": "7.5", "lanes": 2},
        {"activations": "7.5", "lanes": 4},
        {"activations": "7.5"},
    ),
}


def digests(folder: Path) -> tuple[str, str, str]:
    """Of an export: its Verilog, its interface, its network."""
    rtl = hashlib.sha256()
    for path in sorted((folder / "rtl").iterdir()):
        rtl.update(path.name.encode() + b"\0" + path.read_bytes())
    files = (hashlib.sha256((folder / name).read_bytes()) for name in ("interface.json", "network.safetensors"))
    first, second, third = (digest.hexdigest()[:16] for digest in (rtl, *files))
    return first, second, third


def exports(data: Path | None, only: list[str]) -> Iterator[str]:
    """A line an export."""
    for name, settings in EXPORTS.items():
        if (name == "jsc" and data is None) or (only and name not in only):
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            if name == "jsc":
                assert data is not None
                model, given = dwn_hw.load(next((data / "torch_dwn-jsc").glob("*_checkpoint.pt"))), {}
            else:
                model, given = MODELS[name](folder)
            for i, options in enumerate(settings):
                asked = given | options
                if asked.pop("calibrate", False):
                    samples = asked.pop("x")
                    classes = np.random.default_rng(0).integers(0, 4, len(samples))
                    asked["calibrate"] = (samples, classes)
                out = folder / f"export{i}"
                dwn_hw.export(model, out, **asked)
                said = " ".join(f"{key}={value}" for key, value in options.items())
                yield f"{' '.join(digests(out))} {name} {said}".rstrip()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder that holds torch_dwn-jsc/")
    parser.add_argument("--only", nargs="+", default=[], choices=[*EXPORTS], help="models to export")
    asked = parser.parse_args()
    for line in exports(asked.data, asked.only):
        print(line, flush=True)


if __name__ == "__main__":
    main()
