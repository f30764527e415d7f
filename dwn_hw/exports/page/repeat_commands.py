"""The commands that make an export and everything on its page again, as far as the export says how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from dwn_hw.exports.page.blocks import Block, Code, Words
from dwn_hw.exports.page.kept_facts import Facts, Report, at, number, text
from dwn_hw.hardware import naming, shell_facts
from dwn_hw.hardware.encoders import DEFAULT
from dwn_hw.hardware.interface import FoldedSettings


def blocks(facts: Facts) -> Iterator[Block]:
    """The commands."""
    where = shlex.quote(facts.label)
    typed = facts.report.get("command")
    begins = shlex.join(map(str, typed)) if isinstance(typed, list) else f"dwn-hw export MODEL{_options(facts)}"
    lines = [f"{begins} -o {where}"]
    for name, found in facts.simulations.items():
        seed, simulator = number(found, "seed"), text(found, "simulator")
        level = f" --level {name.partition('-')[0]}" if name != "rtl" else ""
        place = {"netlist": "--target", "bitstream": "--board"}.get(name.partition("-")[0])
        level += f" {place} {shlex.quote(name.partition('-')[2])}" if place else ""
        simulated = f" --simulator {shlex.quote(simulator)}" if simulator and name != "bitstream" else ""
        lines.append(f"dwn-hw verify {where}{level}{simulated}" + (f" --seed {seed}" if seed else ""))
    lines += [f"dwn-hw prove {where}"] if facts.proof else []
    lines += [f"dwn-hw synth {where} --target {shlex.quote(target)}" for target in facts.syntheses]
    lines += [
        f"dwn-hw build {where} --board {shlex.quote(board)}{_seeds(build)}" for board, build in facts.builds.items()
    ]
    lines.append(f"dwn-hw report {where} -o report.html")
    if not isinstance(typed, list):
        source = text(facts.report, "source") or "the trained model"
        yield Words(f"Written from Python. MODEL is {source}; DATA, the samples that were used then.")
    yield Code("\n".join(lines))


def _seeds(build: Report) -> str:
    found = at(build, "timing", "fmax_by_seed")
    return f" --seeds {len(found)}" if isinstance(found, dict) and found else ""


def _options(facts: Facts) -> str:
    """What the export's report and interface say of the options that are not the defaults."""
    said, report = facts.exported.interface, facts.report
    options = [f"--target {said.target}"] if said.target != "generic" else []
    match said.settings:
        case FoldedSettings(lanes=lanes):
            options.append(f"--lanes {lanes}")
        case settings:
            options += [f"--encoder {settings.encoder}"] if settings.encoder != DEFAULT else []
            options += [] if settings.shared_encoder else ["--no-optimize"]
            clock = number(report, "clock_mhz", "asked")
            options += [f"--clock-mhz {clock:g}"] if clock else []
            each = all(part.register_after and not part.registers_inside for part in settings.parts)
            options += [f"--latency {said.latency}"] if not clock and not each else []
    options += [f"--shell {said.shell}"] if said.shell != shell_facts.DEFAULT else []
    options += ["--scores"] if said.with_scores and len(said.output.fields) > 1 else []
    options += [f"--name {said.name}"] if said.name != naming.DEFAULT else []
    if at(report, "calibration"):
        drop = number(report, "calibration", "max_drop")
        options.append("--calibrate DATA" + (f" --max-drop {drop:g}" if drop is not None else ""))
    options += ["--data DATA"] if at(report, "data") else []
    return "".join(f" {option}" for option in options)
