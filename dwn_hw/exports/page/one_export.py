"""The page of one export: what it is, takes, does, and what was found out about it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

from dwn_hw._progress import Progress, silent
from dwn_hw.exports.page import cost_sections, figure_charts, network_charts, repeat_commands, sample_results
from dwn_hw.exports.page.blocks import Block, Cell, Code, Figure, Page, Section, Table, Tiles, Words, shown
from dwn_hw.exports.page.checked_section import checked, verified
from dwn_hw.exports.page.kept_facts import Facts, at, number, parts, rows, text
from dwn_hw.exports.page.sample_results import Results

#: Rows of a table of features, and lines of the Verilog, that are shown.
FEATURES, LINES = 32, 48


def make(facts: Facts, results: Results | None, progress: Progress = silent) -> Page:
    """The page of an export with the ``results`` for samples, where there are some."""
    said = facts.exported.interface
    progress("estimating delays")
    sections = [
        Section("At a glance", [tiles(facts, results), *_warnings(facts)]),
        Section("Network", [picture(facts), Code(repr(facts.network))]),
        Section("Input", list(_input(facts, results))),
        Section("What it takes", list(cost_sections.counted(facts))),
        Section("Pipeline", list(cost_sections.pipeline(facts))),
        Section("Calibration", list(_calibration(facts))),
        Section("Accuracy", list(_accuracy(facts, results))),
        Section("Checked and proven", list(checked(facts))),
        Section("Placed and routed", list(cost_sections.placed(facts))),
        Section("Verilog", list(_verilog(facts))),
        Section("Once more", list(repeat_commands.blocks(facts))),
    ]
    line = f"{said.kind} hardware for {said.target}, network {said.digest}, by {said.tool}"
    return Page(Path(facts.label).resolve().name, line, sections)


def picture(facts: Facts) -> Figure:
    """The network, with the registers of its hardware."""
    settings = facts.exported.interface.settings
    behind = {part.node for part in getattr(settings, "parts", ()) if part.register_after}
    return network_charts.picture(facts.network, behind)


def tiles(facts: Facts, results: Results | None) -> Tiles:
    """The figures that are looked for first."""
    said = facts.exported.interface
    right = sample_results.accuracy(facts, results)
    taken = cost_sections.totals(facts)
    clock = number(facts.report, "clock_mhz", "estimate")
    found = [("LUTs", shown(taken["lut"]), f"estimate, {said.target}"), ("flip-flops", shown(taken["ff"]), "estimate")]
    found.append(
        (
            "latency",
            f"{said.latency} clocks",
            f"a result every {said.interval:,} clocks" if said.interval > 1 else "a result a clock",
        )
    )
    if clock is not None and said.target != "generic":
        found.append(("clock", f"{shown(clock)} MHz", "estimate"))
    if right is not None:
        share, interval = sample_results.in_words(*right).split(" ", 1)
        found.insert(0, ("accuracy", share, f"{interval.strip('()')}, of {right[1]:,} samples"))
    state, remark = verified(facts)
    return Tiles((*found, ("checked", state, remark)))


def _warnings(facts: Facts) -> Iterator[Block]:
    for kind, tone in (("warnings", "bad"), ("notes", "")):
        found = at(facts.report, kind)
        for said in found if isinstance(found, list) else []:
            yield Words(f"{'WARNING: ' if tone else ''}{said}", tone)


def _input(facts: Facts, results: Results | None) -> Iterator[Block]:
    network, port = facts.network, facts.exported.interface.input
    yield Words(f"{text(facts.report, 'input', 'reason') or port.chosen or 'Port as given'}. Scaler: {port.scaler}.")
    encoder = network.encoder
    if encoder is None:
        yield Words("No thermometer: the network counts with the port's codes themselves.")
    elif results is None:
        yield Words("No samples are kept in the export, so thresholds stand alone: give some with --data.", "missing")
    else:
        yield Words(f"Histograms: {results.source}.")
    if (by_feature := network_charts.counts_by_feature(network)) is not None:
        yield by_feature
    charts = network_charts.thresholds(network, results)
    if encoder is not None and len(charts) < len(encoder.thresholds):
        yield Words(f"The {len(charts)} features with the most thresholds, of {len(encoder.thresholds):,}:")
    yield from charts
    table = _features(facts)
    yield Table(("feature", "format", "step", "offset", *(["thresholds"] if encoder else [])), table[:FEATURES])
    if len(table) > FEATURES:
        yield Words(f"and {len(table) - FEATURES:,} rows more, in interface.json")


def _features(facts: Facts) -> list[tuple[Cell, ...]]:
    """A row for each feature, or for several one after the other that differ in name alone."""
    encoder, features = facts.network.encoder, facts.exported.interface.input.features
    counts: list[tuple[int, ...]] = (
        [(len(set(row)),) for row in encoder.thresholds] if encoder else [()] * len(features)
    )
    rows: list[tuple[str | int, ...]] = [
        (f"{'s' if feature.signed else 'u'}{feature.bits}", feature.step, feature.offset, *count)
        for feature, count in zip(features, counts, strict=True)
    ]
    runs = [
        [feature.name for feature, _ in run]
        for _, run in itertools.groupby(zip(features, rows, strict=True), itemgetter(1))
    ]
    firsts = [row for row, _ in itertools.groupby(rows)]
    names = [run[0] if len(run) == 1 else f"{run[0]} … {run[-1]} ({len(run):,})" for run in runs]
    return [(name, *row) for name, row in zip(names, firsts, strict=True)]


def _calibration(facts: Facts) -> Iterator[Block]:
    found = at(facts.report, "calibration")
    curve, taken = rows(found, "curve"), parts(found).get("taken", {})
    if not curve:
        yield Words("Not calibrated: `dwn-hw export … --calibrate DATA` finds the narrowest port.", "missing")
        return
    count = number(found, "validation_samples")
    yield Words(f"Asked: {text(found, 'asked')}, on {shown(count)} samples for validation.")
    points = [*((row, False) for row in curve), (taken, True)]
    known = [(row, last) for row, last in points if number(row, "port_bits") is not None]
    for name, what, key in (("calibration-lut", "LUTs", "lut"), ("calibration-accuracy", "accuracy", "accuracy")):
        line = []
        for row, last in known:
            value, error = number(row, key), number(row, "standard_error")
            if value is None:
                continue
            point = {"bits": number(row, "port_bits"), "value": value, "taken": last}
            if key == "accuracy" and error is not None:
                point |= {"low": value - 1.96 * error, "high": value + 1.96 * error}
            line.append(point)
        if line:
            band = ", with 95 % intervals" if key == "accuracy" else ""
            caption = f"Calibration: {what} by the width of the port{band}; orange: what was taken"
            yield figure_charts.calibration(line, caption, what, name)
    head = ("bits a feature", "port", "LUT", "predictions changed", "accuracy", "holds")
    table = [
        (
            "…".join(
                str(bits)
                for bits in sorted({str(at(row, "least_bits")), str(at(row, "most_bits"))}, key=lambda b: (len(b), b))
            ),
            *(number(row, key) for key in ("port_bits", "lut", "changed", "accuracy")),
            "taken" if last else {True: "yes", False: "no"}.get(bool(at(row, "holds"))),
        )
        for row, last in points
    ]
    yield Table(head, table, frozenset({len(table) - 1}))


def _accuracy(facts: Facts, results: Results | None) -> Iterator[Block]:
    network = facts.network
    right = sample_results.accuracy(facts, results)
    if right is None:
        what = "No accuracy is known: give labelled samples with --data." if network.classifies else "No classes."
        yield Words(what, "missing")
    else:
        whose = results.source if results and results.right is not None else f"{right[1]:,} samples, at the export"
        yield Words(
            f"Right: {right[0]:,} of {right[1]:,}, {sample_results.in_words(*right)}, with 95 % confidence (Wilson). Of {whose}."
        )
    if results is None or not network.classifies or network.classes < 2:
        return
    names = network.class_names or [""] * network.classes
    if results.labels is not None and network.classes <= figure_charts.SHOWN:
        yield figure_charts.confusion(results.confusion(network.classes), names)
    elif results.labels is None:
        yield Words(
            "No labels are kept in an export, so there is no confusion matrix: give samples with --data.", "missing"
        )
    yield figure_charts.margins(results.margins(), None if results.labels is None else results.labels == results.y)
    yield Words(
        f"Margins of {results.source}; {int((results.margins() == 0).sum())} of them tie, and {facts.exported.interface.ties}."
    )


def _verilog(facts: Facts) -> Iterator[Block]:
    top = facts.exported.interface.top
    path = next(path for path in facts.exported.sources if path.name == f"{top}.v")
    lines = path.read_text("utf-8", "replace").splitlines()
    files = [(path.name, path.stat().st_size) for path in facts.exported.sources]
    yield Words(f"{path.name}, the first {min(LINES, len(lines))} of {len(lines):,} lines; {len(files)} files in rtl.")
    yield Code("\n".join(line[:200] for line in lines[:LINES]))
