"""What was planned of a model, told to a person."""

from __future__ import annotations

from dwn_hw.cli.screen import Report, Screen


def say_plan(screen: Screen, report: Report) -> None:
    """The report of a plan, in lines."""
    from dwn_hw.cli import integers_text

    if report.get("kind") == "shift":
        screen.say(*integers_text.lines(report), *_hardware(report))
        screen.warn(report)
        return
    screen.say(*report["network"], "")
    if report["calibration"]:
        _show_calibration(screen, report["calibration"])
    screen.say(*(f"assumed    {text}" for text in report["assumed"]))
    if report["unused"]:
        screen.say(f"not used   {', '.join(report['unused'])}, beside the model")
    if report["table"]:
        screen.say(f"columns    {len(report['table']['columns'])} of a table, found by name, become the features")
    screen.say(f"input      {report['input']['reason']}", f"scaler     {report['input']['scaler']}")
    if constant := report["input"]["constant_thresholds"]:
        screen.say(f"           {constant} thresholds lie at or beyond the ends of the port: their bits are constant")
    checked = report["checked"]
    screen.say(f"checked    {checked['encoder_bits']} encoder bits equal to the model's own comparisons")
    reference = f"{checked['group_sums']} group sums equal to {checked['reference']}"
    screen.say(f"           {reference if checked['group_sums'] else checked['reference'] + ': sums not compared'}")
    if report["data"]:
        screen.say(
            "data       " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in report["data"].items())
        )
    if report["optimized"]:
        removed = [
            f"{count} {what} of {name}"
            for name, counts in report["optimized"].items()
            for what, count in counts.items()
            if count > 0
        ]
        equal = f"; {checked['optimized_sums']} group sums equal" if checked["optimized_sums"] else ""
        screen.say(f"optimized  {', '.join(removed) or 'nothing'} removed{equal}")
    screen.say(*_hardware(report))
    screen.warn(report)


def _hardware(report: Report) -> list[str]:
    from dwn_hw.exports.interface_text import rate

    in_turn = report["encoder"] == "streamed" or report["hardware"] == "folded"
    latency = f"{report['latency']} clocks{' from the last feature' if in_turn else ''}, {rate(report['interval'])}"
    return [f"latency    {latency}", f"estimate   {_estimate(report)}"]


def _estimate(report: Report) -> str:
    from dwn_hw.hardware.block_ram import added
    from dwn_hw.hardware.families import FAMILIES

    lut, carry, ff = (sum(part[kind] for part in report["estimate"].values()) for kind in ("lut", "carry", "ff"))
    family = FAMILIES[report["target"]]
    carries = f", {carry} sites of carry chains" if carry > 0 else ""
    mhz = report["clock_mhz"]["estimate"]
    clock = "" if family.portable or mhz is None else f"; about {mhz:.0f} MHz on {family.name}"
    ram, blocks = (added(part[kind] for part in report["estimate"].values()) for kind in ("ram", "bram"))
    memory = f", {ram} bits of memory in {blocks} block RAMs" if blocks > 0 else ""
    return f"{lut} LUT{family.lut_inputs}{carries}, {ff} flip-flops{memory}{clock}"


def _show_calibration(screen: Screen, found: Report) -> None:
    from dwn_hw.frontend.calibration.port_search import Accuracy

    count = found["validation_samples"]
    screen.say(
        f"validated  on {count} samples, calibrated on {found['calibration_samples']}: {found['asked']} to be kept",
        "           (what is said of other samples holds of ones that the model was not trained on, as these must be)",
        "",
    )
    known = "accuracy" in found["model"]

    def accuracy(row: Report) -> list[str]:
        return [str(Accuracy(row["accuracy"], row["standard_error"]))] if known else []

    headings = (
        "bits a feature",
        "port",
        "encoder lut",
        "lut",
        f"kept of {count}",
        *(["accuracy"] if known else []),
        "holds",
    )
    table = []
    rows = [*found["curve"], *(found[kind] for kind in ("shared", "per_feature") if found[kind]), found["taken"]]
    for row in {repr(row): row for row in rows}.values():
        bits = "…".join(str(bits) for bits in sorted({row["least_bits"], row["most_bits"]}))
        figures = (str(row[name]) for name in ("port_bits", "encoder_lut", "lut"))
        holds = "taken" if row == found["taken"] else "yes" if row["holds"] else "no"
        table.append([bits, *figures, str(count - row["changed"]), *accuracy(row), holds])
    table.append(["model", *[""] * 3, str(count), *accuracy(found["model"])])
    screen.show(headings, table, left=0)
    screen.say("")
