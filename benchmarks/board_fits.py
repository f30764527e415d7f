"""``dwn-hw fit`` on UCI tables for two boards, beside a search by hand: a few widths with the defaults of ``dwn-hw train``.

    python benchmarks/board_fits.py --data D --out /tmp/fits [--sets letter satimage pendigits] [--trials 6] [--epochs 8]

By hand, the widths are trained on all samples that are no test, which are a quarter more; what is above the board by estimate
is named so, and nothing is placed and routed. Accuracy is of the same test samples, with Wilson's 95 % interval.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import dwn_hw
from dwn_hw.exports.reader import read_export
from dwn_hw.fpga import boards, fitting
from dwn_hw.ir import proportions
from dwn_hw.studies import default_space, study_folder

#: LUTs of the one layer for each class.
WIDTHS = (5, 10, 20, 40)


def main() -> None:
    """Fit each table to each board, and try widths by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["letter", "satimage", "pendigits"])
    parser.add_argument("--boards", nargs="+", default=["icebreaker", "tang-nano-9k"])
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    given.out.mkdir(exist_ok=True)
    for name in given.sets:
        for board in given.boards:
            path = given.data / "uci-pmlb" / f"{name}.tsv.gz"
            fit(path, board, given)
            hand(path, board, given)


def fit(path: Path, board: str, given: argparse.Namespace) -> None:
    """What the command finds."""
    space = default_space.of("dwn", board)
    space["train"]["epochs"] = given.epochs
    out = given.out / f"{path.name.split('.')[0]}-{board}"
    started = time.monotonic()
    again = out.with_name(f"{out.name}-study").exists()
    report = dwn_hw.fit_board(
        *(path, board, out),
        label="target",
        space=None if again else space,
        trials=given.trials,
        seeds=given.seeds,
        resume=again,
    )
    low, high = report["interval"]
    used = ", ".join(f"{report['used'][kind]:,} of {most:,} {kind}" for kind, most in report["capacity"].items())
    print(
        f"{path.name} for {board}: {report['accuracy']:.1%} ({low:.1%} to {high:.1%}) of {report['test_samples']:,}; ",
        end="",
    )
    print(
        f"{used}; {report['fmax_mhz']:.1f} MHz of {report['clock_mhz']:g}; {time.monotonic() - started:.0f} s",
        flush=True,
    )
    print(f"  chosen: {report['point']}; verified: {(out / 'verify' / 'rtl.json').is_file()}")
    for row in report["placed"]:
        print(f"  trial {row['trial']}: {row['accuracy']:.1%} of the part to choose by, {row['became']}", flush=True)


def hand(path: Path, board: str, given: argparse.Namespace) -> None:
    """A few widths with default settings."""
    study = given.out / f"{path.name.split('.')[0]}-{board}-study"
    parts = study_folder.resume(study, study_folder.Asked(path)).parts
    arrays = [(np.stack(part.table.columns, axis=1), part.y) for part in (parts.train, parts.validation, parts.test)]
    (x, y), test = (np.concatenate(pair) for pair in zip(*arrays[:2], strict=True)), arrays[2]
    chosen = boards.read(board)
    for width in WIDTHS:
        luts = width * len(np.unique(y))
        model, design = study / f"hand{luts}.pt", study / f"hand{luts}"
        dwn_hw.fit(x, y, model, test=test, luts=(luts,), epochs=given.epochs)
        report = dwn_hw.export(dwn_hw.load(model), design, x=test[0], y=test[1], target=chosen.targets[0])
        needs = fitting.estimate(read_export(design), chosen.family)
        share = report["data"]["accuracy"]
        low, high = proportions.interval(round(share * len(test[1])), len(test[1]))
        fits = "fits by estimate" if fitting.fits(chosen, needs) else "does not fit"
        print(
            f"  by hand {luts:5} LUTs in the layer: {needs['lut']:,} LUTs, {fits}; {share:.1%} ({low:.1%} to {high:.1%})",
            flush=True,
        )


if __name__ == "__main__":
    main()
