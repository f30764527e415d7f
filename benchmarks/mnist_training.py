"""Test accuracy of networks that ``dwn-hw train`` makes of MNIST's 60,000 training images, on its 10,000 others.

    python benchmarks/mnist_training.py --data ../shared/data [--luts 300] [--luts 1000 500] [--seeds 0 1 2] [--candidates 16 0]
        [--epochs 30] [--log FILE]

Each network is trained by the defaults of its size; ``--candidates 0``: the first layer chooses among all bits. A line a network,
and at the end a table: the mean over the seeds, the least, the minutes. With ``--log`` each network's line is kept there, and one
that stands there already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from dwn_hw.frontend import sample_formats, training_run

Key = tuple[tuple[int, ...], int, int, int]


def trained(data: Path, key: Key, more: dict[str, Any]) -> dict[str, Any]:
    """The report of one training."""
    luts, candidates, seed, epochs = key
    train, test = (
        sample_formats.load(data / "mnist" / f"{part}-images-idx3-ubyte.gz", None) for part in ("train", "t10k")
    )
    asked = {"luts": luts, "candidates": candidates, "seed": seed, "epochs": epochs, **more}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        report = training_run.run(train, test, Path(folder) / "model.pt", asked)
    found = {name: report[name] for name in ("accuracy", "interval", "best_epoch", "epochs", "recipe")}
    return {"key": [list(luts), candidates, seed, epochs], "seconds": round(time.perf_counter() - started, 1), **found}


def kept(log: Path | None) -> dict[Key, dict[str, Any]]:
    """What a log holds."""
    lines = log.read_text().splitlines() if log is not None and log.is_file() else []
    rows = [json.loads(line) for line in lines]
    return {(tuple(row["key"][0]), *row["key"][1:]): row for row in rows}


def main() -> None:
    """Train what is asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--luts", type=int, nargs="+", action="append")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--candidates", type=int, nargs="+", default=[16])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--bits", type=int, default=3)
    parser.add_argument("--log", type=Path)
    asked = parser.parse_args()
    done, rows = kept(asked.log), []
    for luts in asked.luts or [[300], [1000, 500]]:
        for candidates in asked.candidates:
            own = []
            for seed in asked.seeds:
                key = (tuple(luts), candidates, seed, asked.epochs)
                row = done.get(key) or trained(asked.data, key, {"bits": asked.bits})
                own.append(row)
                print(
                    f"{luts} candidates {candidates} seed {seed}: {row['accuracy']:.2%}, {row['seconds'] / 60:.1f} min",
                    flush=True,
                )
                if asked.log is not None and key not in done:
                    with asked.log.open("a") as file:
                        file.write(json.dumps(row) + "\n")
            accuracies = [row["accuracy"] for row in own]
            minutes = statistics.median(row["seconds"] for row in own) / 60
            rows.append((luts, candidates, statistics.mean(accuracies), min(accuracies), minutes))
    print(f"\n{'luts':>16} {'candidates':>10} {'mean':>7} {'least':>7} {'minutes':>8}")
    for luts, candidates, mean, least, minutes in rows:
        print(f"{luts!s:>16} {candidates or 'all':>10} {mean:7.2%} {least:7.2%} {minutes:8.1f}")


if __name__ == "__main__":
    main()
