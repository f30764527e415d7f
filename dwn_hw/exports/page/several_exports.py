"""The page of several exports: a table with what differs marked, and accuracy against LUTs, with published rows beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dwn_hw.exports.page import cost_sections, figure_charts, published, sample_results
from dwn_hw.exports.page.blocks import Block, Cell, Page, Section, Table, Words
from dwn_hw.exports.page.checked_section import verified
from dwn_hw.exports.page.kept_facts import Facts, at, number, text
from dwn_hw.exports.page.sample_results import Results
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.interface import FoldedSettings
from dwn_hw.ir import proportions

Both = tuple[Facts, Results | None]


def make(exports: Sequence[Both], data_set: str | None) -> Page:
    """The page; ``data_set``: whose published rows stand beside (:data:`published.ROWS`)."""
    names = labels([facts for facts, _ in exports])
    sections = [
        Section("Accuracy against LUTs", _front(exports, names, data_set)),
        Section("What differs", [_side_by_side(settings, exports, names)]),
        Section("What was found", [_side_by_side(figures, exports, names)]),
        Section("What they take", _costs(exports, names)),
    ]
    return Page(f"{len(exports)} exports", ", ".join(names), sections)


def labels(exports: Sequence[Facts]) -> list[str]:
    """The folders' names, or where two have the same one, the directories as they were given."""
    short = [Path(facts.label).resolve().name for facts in exports]
    return short if len(set(short)) == len(short) else [facts.label for facts in exports]


def settings(facts: Facts, results: Results | None) -> dict[str, Cell]:
    """What was decided of an export."""
    said, network = facts.exported.interface, facts.network
    own = said.settings
    how: dict[str, Cell] = {"lanes": own.lanes} if isinstance(own, FoldedSettings) else {"encoder": own.encoder}
    encoder = network.encoder
    return {
        "model": text(facts.report, "source"),
        "nodes": " ".join(f"{step.name}:{step.after.size}" for step in network.steps()),
        "thresholds": sum(len(set(row)) for row in encoder.thresholds) if encoder else None,
        "port, bits": said.input.bits,
        "port chosen": text(facts.report, "input", "origin"),
        "kind": said.kind,
        **how,
        "target": said.target,
        "shell": said.shell,
        "clock asked, MHz": number(facts.report, "clock_mhz", "asked"),
        "optimised": "yes" if at(facts.report, "optimized") else "no",
        "calibrated": text(facts.report, "calibration", "asked") or "no",
    }


def figures(facts: Facts, results: Results | None) -> dict[str, Cell]:
    """What was counted and measured of an export."""
    right = sample_results.accuracy(facts, results)
    low, high = proportions.interval(*right) if right else (None, None)
    taken = cost_sections.totals(facts)
    fastest = [mhz for build in facts.builds.values() if (mhz := number(build, "timing", "fmax_mhz")) is not None]
    counts = {f"LUT, yosys {name}": number(found, "total", "lut") for name, found in facts.syntheses.items()}
    return {
        "accuracy": right[0] / right[1] if right else None,
        "accuracy, at least": low,
        "accuracy, at most": high,
        "samples": right[1] if right else None,
        "inputs of a LUT": FAMILIES[facts.exported.interface.target].lut_inputs,
        **{f"{what}, estimate": taken[kind] for kind, what in cost_sections.KINDS.items()},
        **counts,
        "latency, clocks": facts.exported.interface.latency,
        "interval, clocks": facts.exported.interface.interval,
        "clock, estimate, MHz": number(facts.report, "clock_mhz", "estimate"),
        "clock, placed, MHz": max(fastest, default=None),
        "checked": verified(facts)[0],
        "digest": facts.exported.interface.digest,
    }


def _side_by_side(of: Any, exports: Sequence[Both], names: Sequence[str]) -> Table:
    """A row for each thing that is said of an export, a column for each export; rows that differ are marked."""
    columns = [of(*both) for both in exports]
    keys = list(dict.fromkeys(key for column in columns for key in column))
    rows = [(key, *(column.get(key) for column in columns)) for key in keys]
    return Table(("", *names), rows, frozenset(i for i, (_, *cells) in enumerate(rows) if len(set(cells)) > 1))


def _front(exports: Sequence[Both], names: Sequence[str], data_set: str | None) -> list[Block]:
    rows: list[dict[str, Any]] = []
    for (facts, results), name in zip(exports, names, strict=True):
        right, taken = sample_results.accuracy(facts, results), cost_sections.totals(facts)
        if right is not None and taken["lut"] > 0:
            low, high = proportions.interval(*right)
            point = {"name": name, "lut": taken["lut"], "accuracy": 100 * right[0] / right[1]}
            inputs = FAMILIES[facts.exported.interface.target].lut_inputs
            source = f"these exports, estimate, LUT{inputs}"
            rows.append({**point, "low": 100 * low, "high": 100 * high, "source": source})
    if not rows:
        return [Words("No accuracy is known of them: give labelled samples with --data.", "missing")]
    for row in rows:
        row["front"] = not any(_beats(other, row) for other in rows if other["source"] == row["source"])
    beside = published.ROWS.get(data_set or "", ())
    others = [{"name": "", "lut": p.lut, "accuracy": p.accuracy, "source": p.source, "front": False} for p in beside]
    found: list[Block] = [figure_charts.front(rows + others)]
    if others:
        known = f"Beside: published rows of {str(data_set).upper()}. They say something only if the exports are of that data set,"
        known += " and their counts are of other tools."
        found += [
            Table(("source", "accuracy, %", "LUT"), [(p.source, p.accuracy, p.lut) for p in beside]),
            Words(known),
        ]
    return found


def _beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether ``one`` is better in one of LUTs and accuracy, and not worse in the other."""
    pair: tuple[float, float] = (one["lut"] - other["lut"], other["accuracy"] - one["accuracy"])
    return max(pair) <= 0 and min(pair) < 0


def _costs(exports: Sequence[Both], names: Sequence[str]) -> list[Block]:
    bars = [
        {"part": part, "source": name, "count": count}
        for (facts, _), name in zip(exports, names, strict=True)
        for part, counts in cost_sections.estimate(facts).items()
        if (count := number(counts, "lut")) is not None
    ]
    return [figure_charts.bars("cost-lut", "LUTs by part, estimated", bars, "LUTs")]


def table(exports: Sequence[Both]) -> Table:
    """A row for each export with all that is known of it, as for ``--csv``."""
    facts = [{**settings(*both), **figures(*both)} for both in exports]
    head = list(dict.fromkeys(key for row in facts for key in row))
    names = [one.label for one, _ in exports]
    return Table(
        ("export", *head), [(name, *(row.get(key) for key in head)) for name, row in zip(names, facts, strict=True)]
    )
