"""Plants faults in the Verilog of six exports, one at a time, and says which of them ``verify`` sees.

    python benchmarks/planted_faults.py [--faults 50] [--seed 0] [--random 50] [--only DESIGN ...]

Six designs: look-up tables, portable, of an xc7, and behind a streamed encoder; a dense and a convolutional network of integers
as adders; a folded engine. A fault changes one place of one module: an operator, a constant, an index, an inversion, a condition,
or a register, which becomes a wire. What does not compile is drawn again. A fault that ``verify`` calls equal is given to
``prove``; where that takes no such design, to many more vectors, and but for the engine to yosys, which proves the two designs
equal wherever a receiver looks, or finds an input that tells them apart; the rest is not decided.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dwn_hw import ir, rtl, toolchain
from dwn_hw.errors import ExportError, Mismatch, OptionError, ToolError, Undecided
from dwn_hw.exports import planning, reader, writer
from dwn_hw.hardware.design import ParallelDesign, make_design
from dwn_hw.hardware.folded import make_folded
from dwn_hw.verification import compare_rtl, proof

#: Faults as (name, pattern, what stands there instead, by the match).
FAULTS: tuple[tuple[str, str, Callable[[re.Match[str]], str]], ...] = (
    ("plus for minus", r"(?<=[\w)\]] )[-+](?= [\w($~{])", lambda m: "-" if m[0] == "+" else "+"),
    ("and for or", r"(?<=[\w)\]] )[&|](?= [\w($~{])", lambda m: "|" if m[0] == "&" else "&"),
    ("an inversion less", r"~(?=[\w($])", lambda m: ""),
    ("an inversion more", r"(?<== )(?=[a-z_]\w*\[?\w*\]?;)", lambda m: "~"),
    ("a comparison", r"(?<=[\w)\]] )(<=|<|>=|>|==|!=)(?= [\w($~{'])(?=[^;\n]*\?|[^;\n]*\)\s*(?:begin|$))",
     lambda m: {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}[m[0]]),
    ("a constant", r"(\d+'d)(\d+)", lambda m: f"{m[1]}{max(0, int(m[2]) + (1 if int(m[2]) % 2 == 0 else -1))}"),
    ("a bit of a table", r"(\d+'h)([0-9a-f]+)(?=[^0-9a-f])", lambda m: f"{m[1]}{int(m[2], 16) ^ 1:x}"),
    ("an index", r"(?<=\w)\[(\d+)\](?!:)", lambda m: f"[{int(m[1]) ^ 1}]"),
    ("a reset that never comes", r"if \((rst[^()]*)\)", lambda m: "if (1'b0)"),
    ("an enable that never ends", r"if \(((?:enable|ce|en)[^()]*)\)", lambda m: "if (1'b1)"),
    ("a register that is a wire", r"always @\(posedge \w+\)", lambda m: "always @*"),
    ("a choice turned", r"\? ([^:;?\n]+) : ([^:;?\n]+);", lambda m: f"? {m[2]} : {m[1]};"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a fault: ``seen``, ``equivalent`` (proven), ``missed`` (an input tells it apart), ``undecided``."""

    design: str
    fault: str
    verdict: str
    place: str


def luts(seed: int, bits: int = 6) -> ir.Network:
    """Thermometer, two layers of LUTs, a vote of three classes."""
    rng = np.random.default_rng(seed)
    fmt = ir.Format(bits, signed=True)
    rows = tuple(tuple(sorted(rng.choice(np.arange(fmt.low + 1, fmt.high), 3, False).tolist())) for _ in range(5))
    nodes, size = [ir.Thermometer(rows)], 15
    for count in (20, 12):
        wires = tuple(tuple(rng.choice(size, 4, False).tolist()) for _ in range(count))
        nodes.append(ir.LutLayer(wires, tuple(rng.integers(1, 65535, count).tolist())))
        size = count
    return ir.Network(ir.Input((5,), (fmt,)), (*nodes, ir.GroupSum(3), ir.ArgMax()))


def dense(seed: int) -> ir.Network:
    """Three dense layers on 6 features of 4 bits, with activations that seldom wake."""
    rng = np.random.default_rng(seed)
    nodes: list[ir.Node] = []
    for inputs, outputs in ((6, 8), (8, 5), (5, 4)):
        signs = rng.choice([-1, 0, 1], inputs * outputs, p=[0.45, 0.1, 0.45])
        shifts = np.where(signs, rng.integers(-4, 1, len(signs)), 0)
        biases = tuple(rng.integers(-40, 20, outputs).tolist())
        low = int(min(shifts.min(), 0))
        nodes.append(ir.Dense(ir.powers_of_2(signs.tolist(), shifts.tolist(), low), biases, low))
        nodes += [ir.Relu(), ir.Quantize(0, "floor", 0, 15)] if outputs != 4 else [ir.ArgMax()]
    return ir.Network(ir.Input((6,), (ir.Format(4),)), tuple(nodes))


def convolution(seed: int) -> ir.Network:
    """A convolution, pooling, and a dense layer on an image of 5 by 5."""
    rng = np.random.default_rng(seed)

    def weights(count: int) -> tuple[tuple[int, ...], int]:
        signs = rng.choice([-1, 0, 1], count, p=[0.45, 0.1, 0.45])
        shifts = np.where(signs, rng.integers(-3, 1, count), 0)
        low = int(min(shifts.min(), 0))
        return ir.powers_of_2(signs.tolist(), shifts.tolist(), low), low

    first, second = weights(2 * 4), weights(8 * 3)
    conv = ir.Conv2d((2, 1, 2, 2), first[0], tuple(rng.integers(-20, 9, 2).tolist()), first[1])
    nodes = (conv, ir.Relu(), ir.MaxPool2d((2, 2), (2, 2)), ir.Quantize(0, "floor", 0, 31), ir.Reshape((8,)))
    last = ir.Dense(second[0], tuple(rng.integers(-9, 9, 3).tolist()), second[1])
    return ir.Network(ir.Input((1, 5, 5), (ir.Format(4),)), (*nodes, last, ir.ArgMax()))


DESIGNS = {
    "LUTs": lambda: make_design(luts(1)),
    "LUTs of an xc7": lambda: make_design(luts(2), target="xc7"),
    "LUTs behind a streamed encoder": lambda: make_design(luts(3), encoder="streamed"),
    "adders, dense": lambda: make_design(dense(4)),
    "adders, convolution": lambda: make_design(convolution(5)),
    "a folded engine": lambda: make_folded(convolution(5), lanes=2),
}


def plant(folder: Path, rng: random.Random) -> tuple[str, str]:
    """Plant one fault in the Verilog of an export, every kind as likely; its name and its place."""
    paths = sorted(path for path in (folder / "rtl").glob("*.v") if not path.name.endswith("_lut.v"))
    for _ in range(1000):
        name, pattern, instead = rng.choice(FAULTS)
        path = rng.choice(paths)
        text = path.read_text()
        start = text.find("endmodule") and re.search(r"\bmodule\b", text)
        places = [m for m in re.finditer(pattern, text, re.M) if start and m.start() > start.start()]
        places = [m for m in places if "//" not in text[text.rfind("\n", 0, m.start()) : m.start()]]
        if not places:
            continue
        match = rng.choice(places)
        new = instead(match)
        if new != match[0]:
            path.write_text(text[: match.start()] + new + text[match.end() :])
            start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
            line = text[start:end].strip()
            return (
                name,
                f"{path.name}:{text.count(chr(10), 0, match.start()) + 1}, where {match[0]!r} became {new!r} in {line[:90]}",
            )
    raise RuntimeError("nothing in this export can be changed")


def proven(folder: Path) -> str | None:
    """What ``dwn-hw prove`` finds of an export with a fault, or None where it takes no such design."""
    try:
        proof.prove(folder, timeout=120)
    except Mismatch:
        return "missed"
    except (OptionError, Undecided, ToolError, ExportError):
        return None
    return "equivalent"


def searched(folder: Path) -> str | None:
    """``missed`` where many more vectors, of another seed, show a fault that the first ones did not; else None."""
    try:
        compare_rtl.verify(folder, simulator="icarus", random=1000, seed=1, timeout=240)
    except Mismatch:
        return "missed"
    except ToolError:
        return None
    return None


def _miter(export: Path, top: str) -> str:
    """A module that compares two designs where a receiver of a stream looks: ``y`` while it is valid, and the handshakes."""
    text = (export / "rtl" / f"{top}.v").read_text()
    found = re.findall(r"^ *(?:input|output) +(?:wire|reg)? *(\[\d+:0\])? *(\w+)", text, re.M)
    widths = {name: width for width, name in found}
    shared = ".clk(clk), .rst(rst), .x_payload(x_payload), .x_valid(x_valid), .y_ready(y_ready)"
    own = "".join(f"wire {widths['y_payload']} {s}_y; wire {s}_v, {s}_r;\n" for s in ("gold", "gate"))
    sides = "".join(
        f"{s} i_{s} ({shared}, .y_payload({s}_y), .y_valid({s}_v), .x_ready({s}_r));\n" for s in ("gold", "gate")
    )
    differ = "gold_v != gate_v | gold_r != gate_r | (gold_v & (gold_y != gate_y))"
    return (
        f"module miter (input clk, rst, x_valid, y_ready, input {widths['x_payload']} x_payload, output trigger);\n"
        f"{own}{sides}assign trigger = {differ};\nendmodule\n"
    )


def told_apart(one: Path, other: Path, top: str, models: tuple[Path, ...], clocks: int) -> str:
    """What yosys finds of two designs: ``equivalent`` by induction, ``missed`` by an input of so many clocks (0: that is not
    looked for), or ``undecided``.
    """
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for side, folder in (("gold", one), ("gate", other)):
            (place / side).mkdir()
            for path in (*(folder / "rtl").iterdir(), *models):
                shutil.copy(path, place / side)
            shutil.copytree(folder / "rtl", place, dirs_exist_ok=True)  # memories, by name
        reads = {
            side: [f"read_verilog {side}/{path.name}" for path in sorted((place / side).glob("*.v"))]
            for side in ("gold", "gate")
        }
        (place / "miter.v").write_text(_miter(one, top))
        both = ["design -copy-from gold -as gold gold", "design -copy-from gate -as gate gate"]
        # Register by register and wire by wire, by their names; then from a reset on, an input that tells them apart.
        by_name = ["equiv_make gold gate equiv", "hierarchy -top equiv", "opt", "equiv_simple -undef -seq 4"]
        by_name += ["equiv_induct -undef -seq 4", "equiv_status"]
        search = ["read_verilog miter.v", "hierarchy -top miter", "proc", "flatten", "opt -full"]
        search += [f"sat -prove trigger 0 -prove-skip 3 -seq {clocks} -timeout 15 -set-init-zero -set-at 1 rst 1 miter"]
        mapped = ["memory -nomap", "memory_map", "opt -full"]
        tries = [(["opt"] if clocks else mapped[:2], by_name, "Equivalence successfully proven!", "equivalent")]
        tries += [(mapped, search, "model found: FAIL!", "missed")] if clocks else []
        for prepared, asked, found, verdict in tries:
            lines = []
            for side in ("gold", "gate"):
                lines += ["design -reset", *reads[side], f"hierarchy -top {top}", "proc", "flatten", *prepared]
                lines += [f"rename {top} {side}", f"design -stash {side}"]
            text = "\n".join([*lines, "design -reset", *both, *asked])
            try:
                said = toolchain.run(
                    toolchain.native_yosys(), name="yosys", stdin=text, cwd=place, timeout=25 if clocks else 90
                )
            except ToolError:
                continue
            if found in said:
                return verdict
    return "undecided"


def trial(name: str, whole: Path, scratch: Path, rng: random.Random, vectors: int) -> Outcome:
    """One fault: seen by ``verify``, or what yosys says of it."""
    while True:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(whole, scratch, ignore=shutil.ignore_patterns("verify"))
        fault, place = plant(scratch, rng)
        try:
            compare_rtl.verify(scratch, simulator="icarus", random=vectors, timeout=120)
        except Mismatch:
            return Outcome(name, fault, "seen", place)
        except (ToolError, ExportError) as error:
            if "no answer within" in str(error) or "bench" in str(error) or "nothing" in str(error):
                return Outcome(name, fault, "seen", place)  # it hangs, or gives what no bench can read
            continue
        exported = reader.read_export(whole)
        models = rtl.model_files(exported.interface.target)
        clocks = 3 * exported.design.latency + 12
        verdict = proven(scratch) or searched(scratch)
        if verdict is None:
            whole_top = exported.interface.top
            searches = isinstance(exported.design, ParallelDesign)  # an engine takes too many clocks for that
            verdict = told_apart(whole, scratch, whole_top, models, min(clocks, 40) if searches else 0)
        verdict = verdict or "undecided"
        return Outcome(name, fault, verdict, place)


def main() -> None:
    """Plant them, print what became of each, and a table by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=50, help="of each design")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--random", type=int, default=50, help="random vectors beside the directed ones")
    parser.add_argument("--only", nargs="*", choices=DESIGNS, default=list(DESIGNS))
    asked = parser.parse_args()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as name:
        for design in asked.only:
            rng, started = random.Random(f"{asked.seed} {design}"), time.time()
            whole = Path(name) / "whole"
            shutil.rmtree(whole, ignore_errors=True)
            writer.write(planning.ExportPlan(DESIGNS[design](), 0, {}, None), whole)
            own = [trial(design, whole, Path(name) / "planted", rng, asked.random) for _ in range(asked.faults)]
            outcomes += own
            counts = Counter(outcome.verdict for outcome in own)
            told = ", ".join(
                f"{counts[verdict]} {verdict}" for verdict in ("seen", "equivalent", "missed", "undecided")
            )
            print(f"{design:32} {len(own):4}: {told} ({time.time() - started:.0f} s)", flush=True)
            for outcome in own:
                if outcome.verdict in ("missed", "undecided"):
                    print(f"    {outcome.verdict}: {outcome.fault} at {outcome.place}", flush=True)
    print("\nfault                            seen  equivalent  missed  undecided")
    for fault in dict.fromkeys(outcome.fault for outcome in outcomes):
        counts = Counter(outcome.verdict for outcome in outcomes if outcome.fault == fault)
        print(
            f"{fault:32} {counts['seen']:4}  {counts['equivalent']:10}  {counts['missed']:6}  {counts['undecided']:9}"
        )


if __name__ == "__main__":
    main()
