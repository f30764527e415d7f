"""A trial: trained, exported, verified, counted. What is equal is done once, as is what a killed worker had finished.

A training is known by its settings, a design by the digest of its network and its Verilog. A training's state after each epoch
is kept, an export is moved to its place when it is whole, and what is counted of a design is written when it was verified.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dwn_hw import api
from dwn_hw._json import Document
from dwn_hw._progress import Progress
from dwn_hw.exports import kept_builds, prediction, verilog_checksums, writer
from dwn_hw.exports.reader import read_export
from dwn_hw.fpga import boards, building, size_budget, synthesis
from dwn_hw.frontend import training_run
from dwn_hw.hardware import cost
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.studies import check_space
from dwn_hw.studies.space import Value
from dwn_hw.studies.study_folder import Study, read_json, write_json
from dwn_hw.verification import compare_rtl


def run(
    study: Study, point: Mapping[str, Value], progress: Progress, also: Mapping[str, Any] = MappingProxyType({})
) -> Document:
    """What came of a point of a study: the design by its digest, its accuracy, its LUTs. Raises DwnHwError.

    ``also``: what the export is asked in the place of what the space says.
    """
    train, asked = study.space.settings(point)
    asked |= also
    count: Any = study.said["count"]
    by, of = count
    board = of if by == "place" else study.said["board"]
    if board is not None:
        asked.setdefault("target", boards.read(str(board)).targets[0])
    started = time.perf_counter()
    model = trained(study, train, progress)
    design, accuracy = _exported(study, model, asked, progress)
    found = _verified(study, design, progress)
    counted = _counted(study.folder / "designs" / design, by, of, progress)
    seconds = round(time.perf_counter() - started, 1)
    return {"design": design, "model": model.parent.name, **accuracy, **found, **counted, "seconds": seconds}


def trained(study: Study, asked: Mapping[str, Any], progress: Progress) -> Path:
    """The model of a training's settings, trained unless it was; its seed follows from them and from the study's."""
    settings = {"kind": study.space.kind, "board": study.said["board"], **asked}
    key = hashlib.sha256(json.dumps([settings, study.seed], sort_keys=True).encode()).hexdigest()[:16]
    place = study.folder / "models" / key
    place.mkdir(parents=True, exist_ok=True)
    with kept_builds.alone(place, lambda: progress("waiting for the same training")):
        if not (place / "report.json").is_file():
            recipe = {**asked, "seed": int(key[:7], 16)}
            board: Any = study.said["board"]
            budget = size_budget.make(recipe.pop("budget_lut", None), board, study.space.kind)
            report = training_run.run(
                *(study.parts.train, study.parts.validation, place / "model.pt", recipe),
                columns=study.columns,
                kind=study.space.kind,
                budget=budget,
                resume=(place / "model.pt.training").is_file(),
                progress=progress,
            )
            write_json(place / "report.json", report)
    return place / "model.pt"


def _exported(study: Study, model: Path, asked: Mapping[str, Any], progress: Progress) -> tuple[str, Document]:
    """The digest of a model's design, which is exported unless it was; and how often it is right."""
    options = check_space.asked_options(asked, study.parts.validation)
    settings = json.dumps([model.parent.name, sorted(asked.items())])
    draft = study.folder / "designs" / f"draft-{hashlib.sha256(settings.encode()).hexdigest()[:16]}"
    with kept_builds.alone(study.folder / "locks" / draft.name):
        shutil.rmtree(draft, ignore_errors=True)
        report: Any = writer.export(api.load(model), draft, options, study.parts.validation, progress)
        network = read_export(draft).network
        sums = (draft / "rtl" / verilog_checksums.SUMS).read_text("utf-8")
        digest = hashlib.sha256(f"{report['digest']} {sums}".encode()).hexdigest()[:16]
        place = draft.with_name(digest)
        with kept_builds.alone(study.folder / "locks" / digest):
            if place.exists():
                shutil.rmtree(draft)
            else:
                draft.rename(place)
    data, clock = report["data"], report["clock_mhz"]
    tested: Any = prediction.predict(network, study.parts.test)[0]["accuracy"]
    found: Document = {
        "right": round(data["accuracy"] * data["samples"]),
        "samples": data["samples"],
        "test_right": round(tested * len(study.parts.test)),
        "test_samples": len(study.parts.test),
        "latency": report["latency"],
        "clock_mhz": clock["estimate"],
        "target": report["target"],
    }
    return digest, found


def _verified(study: Study, design: str, progress: Progress) -> Document:
    """What was compared of a design; it is compared unless it was. Raises Mismatch."""
    place = study.folder / "designs" / design
    record = place.with_name(f"{design}.json")
    with kept_builds.alone(study.folder / "locks" / design, lambda: progress("waiting for the same design")):
        if not record.is_file():
            vectors: Any = study.said["vectors"]
            found: Any = compare_rtl.verify(place, random=vectors, progress=progress)
            write_json(record, {name: found[name] for name in ("simulator", "vectors", "node_values", "digest")})
    return {"verified": read_json(record)}


def _counted(place: Path, by: str, of: str, progress: Progress) -> Document:
    """LUTs of a design: by the estimate for its own family, by yosys for a family, or as they were placed on a board."""
    with kept_builds.alone(place.parent.parent / "locks" / place.name):
        if by == "synth":
            kept = place / "synth" / f"{of}.json"
            report: Any = read_json(kept) if kept.is_file() else synthesis.synth(place, of, progress=progress)
            return {"luts": report["total"]["lut"], "lut_inputs": FAMILIES[of].lut_inputs}
        if by == "place":
            report = building.build(place, of, seeds=1, progress=progress)
            timing = report["timing"]["fmax_mhz"]
            taken = report["used"]["lut"]
            return {"luts": taken, "lut_inputs": FAMILIES[boards.read(of).family].lut_inputs, "placed_mhz": timing}
        design = read_export(place).design.lowered()
    return {"luts": cost.total(cost.estimate(design)).site, "lut_inputs": FAMILIES[design.target].lut_inputs}
