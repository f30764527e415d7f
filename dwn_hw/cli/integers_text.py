"""What was planned of a network of integers, in lines for a person."""

from __future__ import annotations

from dwn_hw.cli.screen import Report


def lines(report: Report) -> list[str]:
    """The report of :func:`dwn_hw.frontend.integer_networks.freeze_and_compare.plan` as text."""
    checked, entry = report["checked"], report["input"]
    said = [*report["network"], "", f"input      {entry['reason']}", f"scaler     {entry['scaler']}"]
    if entry["codes_checked"]:
        said.append(
            f"           equal to the model's own arithmetic in {entry['arithmetic']} for all {entry['codes_checked']} codes"
        )
        if entry["codes_that_float32_rounds_otherwise"]:
            said.append(
                f"           float32 gives a neighbour for {entry['codes_that_float32_rounds_otherwise']} of them"
            )
    said += [
        f"left out   {', '.join(report['left_out']) or 'nothing'}",
        *_weights(report),
        *_levels(report),
        *_activations(report),
    ]
    said += [
        f"norm       {norm['layer']}: multipliers within {norm['multiplier_error']:.1e}" for norm in report["norms"]
    ]
    if report["calibration"]:
        said += _calibration(report["calibration"])
    inexact = f", {checked['inexact']} samples left out whose sums no double holds" if checked["inexact"] > 0 else ""
    said.append(f"checked    {checked['scores']} scores equal to {checked['reference']} with these formats{inexact}")
    said += [f"own        {_own_forward(found)}" for found in report["own_forward"]]
    if report["data"]:
        figures = (f"{key.replace('_', ' ')} {value}" for key, value in report["data"].items())
        said.append("data       " + ", ".join(figures))
    return said


def _own_forward(found: Report) -> str:
    """What the module's own forward pass gives beside the network."""
    weights = {"rounded": " with rounded weights", "trained": ""}[found["weights"]]
    of = f"{found['codes']} directed and random codes through the module's own forward{weights}"
    if "numbers" in found:
        if not found["numbers_changed"]:
            return f"{of}: every number equal" + (", to the grid" if found["largest_difference"] else "")
        count = f"{found['numbers_changed']} of {found['numbers']} numbers differ by more than their grid"
        return f"{of}: {count}, by at most {found['largest_difference']:.2g}"
    changed, largest = found["predictions_changed"], found["largest_score_difference"]
    if found["softmax"]:
        return f"{of}: {changed or 'no'} predictions change"
    if not changed and not largest:
        return f"{of}: every score equal"
    return f"{of}: {changed or 'no'} predictions change, scores within {largest:.2g}"


def _weights(report: Report) -> list[str]:
    said = []
    for row in report["weights"]:
        held = f"±2^{row['least_shift']}…±2^{row['most_shift']}"
        if row["bits"] is not None:
            held = f"rounded to {row['bits']} bits·2^{row['lsb']}, {row['rounding_error']:.2%} of their size away"
        said.append(f"weights    {row['layer']}: {row['weights']}, {row['zero']} of them 0, {held}")
    return said


def _levels(report: Report) -> list[str]:
    said = []
    for row in report["levels"]:
        counts = sorted({row["least_thresholds"], row["most_thresholds"]})
        noun = "threshold" if counts == [1] else "thresholds"
        error = f", values within {row['value_error']:.1e}" if row["value_error"] else ""
        said.append(f"levels     {row['layer']}: {'…'.join(map(str, counts))} {noun}{error}")
    return said


def _activations(report: Report) -> list[str]:
    said = [f"formats    {report['activations']['reason']}"]
    for row in report["activations"]["layers"]:
        bias = f", bias within {row['bias_error']:.1e}" if row["bias_error"] > 0 else ""
        sign = "s" if row["signed"] else "u"
        said.append(f"           {row['layer']}: {sign}{row['bits']}·2^{row['lsb']} {row['rounding']}{bias}")
    return said


def _calibration(found: Report) -> list[str]:
    count = found["validation_samples"]
    said = [f"validated  on {count} samples, calibrated on {found['calibration_samples']}: {found['asked']} to be kept"]
    for row in found["curve"]:
        right = f", accuracy {row['accuracy']:.4f} ± {row['standard_error']:.4f}" if "accuracy" in row else ""
        bits = "/".join(map(str, row["bits"]))
        weights = f", weights of {'/'.join(map(str, row['weights']))}" if row["weights"] else ""
        said.append(
            f"           {bits} bits{weights}: {row['changed']} predictions change{right}, {'holds' if row['holds'] else 'fails'}"
        )
    return said
