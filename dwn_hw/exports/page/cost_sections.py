"""What an export takes, by part: as it is estimated, as yosys counted it, as it was placed; and how long its paths are."""

from __future__ import annotations

from collections.abc import Iterator

from dwn_hw.exports.page import figure_charts
from dwn_hw.exports.page.blocks import Block, Cell, Table, Words
from dwn_hw.exports.page.kept_facts import Facts, Report, at, number, parts, rows, text
from dwn_hw.hardware import cost
from dwn_hw.hardware.design import ParallelDesign, delay_estimates
from dwn_hw.hardware.interface import FoldedSettings

#: The most tiles of a floor plan.
TILES = 20_000

#: What is counted of a part, and what a chart of it calls it.
KINDS = {"lut": "LUTs", "ff": "flip-flops", "carry": "carries"}


def totals(facts: Facts) -> dict[str, float | int]:
    """The estimate of the whole by kind, as the export's report adds up to; without a report it is estimated anew."""
    counted = list(estimate(facts).values())
    return {kind: sum((number(part, kind) or 0 for part in counted), 0) for kind in (*KINDS, "bram")}


def estimate(facts: Facts) -> dict[str, Report]:
    """The estimate of each part."""
    found = parts(facts.report, "estimate")
    if found:
        return found
    return {name: part.as_report() for name, part in cost.estimate(facts.exported.design.lowered()).items()}


def _sources(facts: Facts) -> dict[str, dict[str, Report]]:
    """By where a count comes from: the parts with their counts."""
    target = facts.exported.interface.target
    found = {f"estimate, {target}": estimate(facts)}
    found |= {f"yosys, {name}": parts(report, "parts") for name, report in facts.syntheses.items()}
    return found | {f"board, {name}": parts(report, "parts") for name, report in facts.builds.items()}


def counted(facts: Facts) -> Iterator[Block]:
    """Bars by part, and all figures; of a board its UART is a part.

    Parts are counted each by itself, so a whole that was flattened need not be their sum.
    """
    sources = _sources(facts)
    tables = []
    for kind, unit in KINDS.items():
        names = dict.fromkeys(part for found in sources.values() for part in found)
        table = [(part, *(number(found.get(part), kind) for found in sources.values())) for part in names]
        table = [row for row in table if any(row[1:])]
        bars = [
            {"part": part, "source": source, "count": count}
            for part, *counts in table
            for source, count in zip(sources, counts, strict=True)
            if count is not None
        ]
        if bars:
            yield figure_charts.bars(f"cost-{kind}", f"{unit[:1].upper()}{unit[1:]} by part", bars, unit)
            whole = ("whole", *(_whole(facts, source, kind) for source in sources))
            tables.append(Table((unit, *sources), [*table, whole], frozenset({len(table)})))
    yield from tables
    if not facts.syntheses:
        yield Words("Not counted by yosys: `dwn-hw synth` does.", "missing")


def _whole(facts: Facts, source: str, kind: str) -> Cell:
    """The whole: of synthesis flattened, of a board with its UART, else added up."""
    name = source.partition(", ")[2]
    if source.startswith("estimate"):
        return totals(facts)[kind]
    if source.startswith("yosys"):
        return number(facts.syntheses[name], "total", kind)
    return sum(number(part, kind) or 0 for part in parts(facts.builds[name], "parts").values())


def pipeline(facts: Facts) -> Iterator[Block]:
    """The sections between registers with their delays, or the steps of an engine with their clocks."""
    said = facts.exported.interface
    yield Words(
        f"Latency {said.latency:,} clocks; a sample every {f'{said.interval:,} clocks' if said.interval > 1 else 'clock'}."
    )
    if isinstance(said.settings, FoldedSettings):
        steps = [{"section": step.name, "length": step.clocks} for step in said.settings.steps]
        caption = f"Clocks of each step of the engine, with {said.settings.lanes} lanes"
        yield figure_charts.sections(steps, "clocks", None, caption)
        yield Table(("step", "writes", "clocks"), [(s.name, s.writes, s.clocks) for s in said.settings.steps])
        return
    design = facts.exported.design
    assert isinstance(design, ParallelDesign)
    delays = delay_estimates(design.lowered())
    asked = number(facts.report, "clock_mhz", "asked")
    named = [{"section": f"{i}: {name}", "length": delay} for i, (name, delay) in enumerate(delays, 1)]
    caption = f"Delay between registers, by the delay model of {said.target}"
    caption += f"; dashed: {asked:g} MHz, as asked" if asked else ""
    yield figure_charts.sections(named, "ns", 1000 / asked if asked else None, caption)
    table = [
        (f"{i}: up to {name}", round(delay, 2), round(1000 / delay, 1)) for i, (name, delay) in enumerate(delays, 1)
    ]
    yield Table(("section", "ns", "MHz"), table)


def placed(facts: Facts) -> Iterator[Block]:
    """What was placed and routed on boards: clocks by seed, what is used, the longest path, the floor plan."""
    done = {name: build for name, build in facts.builds.items() if at(build, "bitstream")}
    if not done:
        yield Words("Not built: `dwn-hw build --board BOARD` places and routes it.", "missing")
    for name, build in done.items():
        clocks = {seed: mhz for seed, mhz in _clocks(build).items() if mhz is not None}
        wanted = number(build, "clock_mhz")
        if clocks:
            yield figure_charts.seeds(clocks, wanted, name)
        capacity = at(build, "capacity")
        used = [(kind, number(build, "used", kind), number(capacity, kind)) for kind in ("lut", "ff", "bram")]
        yield Table((f"on {name}", "used", "of"), used)
        if path := text(build, "timing", "critical_path", "text"):
            yield Words(f"Longest path: {path}")
        cells = [cell for cell in rows(facts.placements.get(name), "cells", most=TILES) if _is_placed(cell)]
        if cells:
            yield figure_charts.floor_plan(cells, name)
        else:
            yield Words("No floor plan is kept of this build.", "missing")


def _clocks(build: Report) -> dict[str, float | int | None]:
    found = at(build, "timing", "fmax_by_seed")
    return {seed: number(found, seed) for seed in found} if isinstance(found, dict) else {}


def _is_placed(cell: Report) -> bool:
    whole = (number(cell, key) for key in ("x", "y", "count"))
    return all(isinstance(n, int) and 0 <= n < 10_000 for n in whole) and isinstance(cell.get("part"), str)
