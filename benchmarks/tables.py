"""``dwn-hw train`` with its defaults on UCI tables, beside scikit-learn's gradient boosting on the same split.

    python benchmarks/tables.py --data D [--sets letter adult …]

Accuracy is of test samples that neither has seen (a fifth, stratified, seed 0), with Wilson's 95 % interval; *hardware* is that
of the frozen network of integers. LUTs are the plan's for xc7, with the encoder, which reads the table's own units. Gradient
boosting gets the columns as they are, and is told which hold categories. Seconds are of one run each, in turn.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

import dwn_hw
from dwn_hw.exports import planning
from dwn_hw.exports.options import Options
from dwn_hw.frontend import sample_formats, training_run
from dwn_hw.frontend.learned_columns import AskedColumns
from dwn_hw.ir import sample_files
from dwn_hw.nn import trainer

#: The columns of each table that hold categories as numbers, by its documentation.
SETS: dict[str, tuple[str, ...]] = {
    "letter": (),
    "satimage": (),
    "pendigits": (),
    "spambase": (),
    "magic": (),
    "phoneme": (),
    "segmentation": (),
    "adult": (
        *("workclass", "education", "marital-status", "occupation", "relationship", "race", "sex"),
        "native-country",
    ),
    "car": ("buying", "maint", "doors", "persons", "lug_boot", "safety"),
}
#: Those that are measured unless others are named.
EIGHT = tuple(SETS)[:8]


@dataclass(frozen=True)
class Row:
    """What was found of a table: shares of test samples, and how many there are."""

    name: str
    report: dict[str, Any]
    hardware: float
    luts: dict[str, int]
    carries: int
    boosted: float
    boosted_seconds: float


def measure(name: str, path: Path, folder: Path) -> Row:
    """Train both on a table."""
    categorical = SETS[name]
    samples = sample_formats.read(path)
    out = folder / f"{name}.pt"
    report = training_run.run(samples, None, out, {}, columns=AskedColumns(categorical))
    tested = sample_formats.read(folder / f"{name}.test.npz")
    plan = planning.plan(dwn_hw.load(out), Options(target="xc7"), tested).report
    separated = sample_files.with_classes(samples)
    x, y = np.stack(separated.table.columns, axis=1), separated.y
    first, second = trainer.stratified(np.unique(y, return_inverse=True)[1], training_run.TEST, 0)
    mask = [title in categorical for title in separated.table.titles]
    started = time.perf_counter()
    boosting = HistGradientBoostingClassifier(random_state=0, categorical_features=mask if any(mask) else None)
    boosted = float((boosting.fit(x[first], y[first]).predict(x[second]) == y[second]).mean())
    assert len(second) == report["test_samples"]
    parts = plan["estimate"]
    return Row(
        name,
        report,
        plan["data"]["accuracy"],
        {part: taken["lut"] for part, taken in parts.items()},
        sum(taken["carry"] for taken in parts.values()),
        boosted,
        time.perf_counter() - started,
    )


def line(row: Row) -> str:
    """A line of the table."""
    count = row.report["test_samples"]
    low, high = trainer.interval(round(row.boosted * count), count)
    own = row.report["interval"]
    accuracy = row.report["accuracy"]
    features = row.report["features"]
    cells = [
        row.name,
        f"{row.report['training_samples']} + {count}",
        f"{len(row.report['table']['columns'])} ({features})",
        f"{len(row.report['classes'])}",
        f"{100 * accuracy:.1f} ({100 * own[0]:.1f} to {100 * own[1]:.1f})",
        f"{100 * row.hardware:.1f}",
        f"{100 * row.boosted:.1f} ({100 * low:.1f} to {100 * high:.1f})",
        f"{100 * (accuracy - row.boosted):+.1f}",
        f"{row.report['seconds']:.0f}",
        f"{row.boosted_seconds:.1f}",
        f"{sum(row.luts.values()):,}",
        f"{row.luts['encoder']:,}",
        f"{row.carries:,}",
    ]
    return f"| {' | '.join(cells)} |"


HEADS = (
    *("table", "samples", "columns (features)", "classes", "dwn-hw %", "hardware %", "boosting %", "points"),
    *("s", "boosting s", "LUT", "of the encoder", "carry sites"),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds uci-pmlb/")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=EIGHT)
    asked = parser.parse_args()
    print(f"| {' | '.join(HEADS)} |\n|{' --- |' * len(HEADS)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.sets:
            print(line(measure(name, asked.data / "uci-pmlb" / f"{name}.tsv.gz", Path(folder))), flush=True)


if __name__ == "__main__":
    main()
