"""``dwn-hw prove``: an export's Verilog equals its network for all codes and, where it is a stream, whatever valid and ready do.

The chain of claims, each proven by itself:

* ``passes``: the network, as optimised, gives the sums and the result of the network as frozen;
* ``registers``: every way from the input to the output has as many registers as the interface says, on one clock, no loops;
* each part, registers being wires: its Verilog is what its nodes mean, for all values on the wires from the part before;
* ``ports``: the result port carries the last parts' outputs;
* ``handshake``: nothing is lost, doubled or invented while a result waits or after a reset.

Together they are the whole Verilog for all inputs.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import assert_never

import numpy as np
import numpy.typing as npt

from dwn_hw import ir, toolchain
from dwn_hw._json import Document
from dwn_hw._progress import Progress, ahead, begin
from dwn_hw.errors import Mismatch, OptionError, Problem, ToolError, Undecided
from dwn_hw.exports.reader import Exported, read_export
from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.ir import evaluate, packing, serialize, vectors
from dwn_hw.verification.proof import compare_networks, handshake
from dwn_hw.verification.proof.aig import Aig, pack, unpack
from dwn_hw.verification.proof.export_logic import Hardware, Logic
from dwn_hw.verification.proof.naive import reference
from dwn_hw.verification.proof.prove_part import prove_part
from dwn_hw.verification.proof.sat import Verdict, compare

Codes = npt.NDArray[np.int64]

#: The number of random vectors, beside the directed ones, on which logic and reference are compared with ``evaluate`` first.
RANDOM = 1000

#: The number of vectors for which all that large logic computes is held in memory at once.
_BLOCK = 2048

#: What must be right for a proof to mean what it says.
TRUSTED = (
    "yosys reads the Verilog as other tools do",
    "ABC's SAT solver is right where it finds two things equal",
    "the clock is slow enough, and a synthesis tool keeps the Verilog's meaning",
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim: what is claimed, how it was found out, in how many seconds; ``proven``, or else open."""

    name: str
    what: str
    how: str
    seconds: float
    proven: bool


def prove(folder: Path, *, timeout: float = 300.0, progress: Progress = lambda text: None) -> Document:
    """Prove the chain for an export. Returns every claim with how and in what time, and writes it to ``prove/report.json``.

    ``timeout``: seconds for each claim. Raises Mismatch with codes that show the first difference, and Undecided with the claims
    that stay open.
    """
    toolchain.native_yosys(), toolchain.abc()
    begin(progress, "reading the export")
    exported = read_export(folder)
    design = _provable(exported)
    place = folder / "prove"
    place.mkdir(exist_ok=True)
    for stale in ("report.json", "counterexample.npz"):
        (place / stale).unlink(missing_ok=True)
    prover = _Prover(exported, design, timeout)
    claims = []
    for claim in prover.claims(progress):
        claims.append(claim)
    open_ = [claim for claim in claims if not claim.proven]
    report: Document = {
        "proven": not open_,
        "digest": exported.interface.digest,
        "vectors": len(prover.codes),
        "claims": [asdict(claim) for claim in claims],
        "trusted": list(TRUSTED),
    }
    (place / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    if open_:
        lines = [f"not proven: {claim.name}: {claim.what}: {claim.how}" for claim in open_]
        raise Undecided("\n".join([*lines, "Try a longer --timeout."]))
    return report


def _provable(exported: Exported) -> ParallelDesign:
    """The design of an export, if it is one that can be proven. Raises OptionError."""
    design, simulated = exported.design, "Run `dwn-hw verify`, which simulates it"
    nodes = ", ".join(sorted({type(node).__name__ for node in exported.network.nodes}))
    refused = Problem("prove", "parallel hardware", f"{design.kind} hardware of {nodes}", f"{simulated}.")
    match design:
        case ParallelDesign():
            if design.stream:
                # A sample then takes as many clocks as features: registers cannot be followed as wires.
                remedy = f"{simulated}, or export with --encoder parallel."
                raise OptionError(Problem("prove", "an export with a parallel encoder", "a streamed one", remedy))
            return design
        case FoldedDesign():
            raise OptionError(refused)
        case _:
            assert_never(design)


class _Prover:
    """Proves one export, claim by claim."""

    def __init__(self, exported: Exported, design: ParallelDesign, timeout: float) -> None:
        self.exported, self.design, self.timeout = exported, design, timeout
        self.network = exported.network
        self.codes = _vectors(self.network)
        self.traces = evaluate.trace(self.network, self.codes)

    def claims(self, progress: Progress) -> Iterator[Claim]:
        """Prove all claims, in order. Raises Mismatch at the first that is refuted."""
        path = self.exported.folder / "frozen.safetensors"
        ahead(progress, len(self.network.nodes) + (3 if path.is_file() else 2))
        if path.is_file():
            progress("proving that the passes kept the meaning")
            yield self._passes(serialize.load(path))
        progress("reading the Verilog")
        hardware = Hardware(self.exported, self.design.pipeline, self.timeout)
        yield self._registers(hardware)
        for index, wires in enumerate(hardware.wires[1:]):
            progress(f"proving {wires.name}")
            yield self._part(hardware, index)
        progress("proving the ports")
        yield self._ports(hardware)
        if hardware.stream:
            yield self._handshake(hardware, hardware.stream)

    def _passes(self, frozen: ir.Network) -> Claim:
        started = time.monotonic()
        what = "the optimised network gives the sums and the result of the frozen one"
        if not compare_networks.same_shape(frozen, self.network):
            return _claim("passes", what, Verdict(None, "networks of different shape"), started)
        codes = _vectors(frozen)
        traces = evaluate.trace(frozen, codes)
        self._replay_passes(frozen, codes, "a directed vector")
        how: list[str] = []
        for pair, verdict in compare_networks.compare_networks(frozen, self.network, traces, self.timeout):
            if verdict.case is not None and not how:  # a later part does not begin with codes
                self._replay_passes(frozen, packing.unpack(verdict.case[None], pair.edge), verdict.how)
            if not verdict.equal:
                return _claim("passes", what, Verdict(None, verdict.how), started)
            how.append(verdict.how)
        return _claim("passes", what, Verdict(True, " and ".join(dict.fromkeys(how))), started)

    def _replay_passes(self, frozen: ir.Network, codes: Codes, how: str) -> None:
        """Raise Mismatch if ``evaluate`` says that the two networks differ for one of the codes, at sums or result."""
        codes = codes.reshape(len(codes), *frozen.input.shape)
        both = evaluate.trace(frozen, codes), evaluate.trace(self.network, codes)
        ends = [
            [segment.first + len(segment.nodes) for segment in compare_networks.segments(n)]
            for n in (frozen, self.network)
        ]
        for at, other in zip(*ends, strict=True):
            wanted, got = both[0][at].reshape(len(codes), -1), both[1][other].reshape(len(codes), -1)
            if (wrong := np.argwhere(wanted != got)).size:
                case, unit = map(int, wrong[0])
                where = f"{frozen.names()[at - 1]}, unit {unit}: expected {wanted[case, unit]}, got {got[case, unit]}"
                raise self._mismatch("the optimised network differs from the frozen one", where, codes[case], how)

    def _registers(self, hardware: Hardware) -> Claim:
        started, pipeline, latency = time.monotonic(), hardware.pipeline, self.exported.interface.latency
        bits = [(wires.name, wires.clocks, bit) for wires in hardware.wires for bit in wires.bits]
        bits += [("the result port", latency, bit) for bit in hardware.result()]
        stages = pipeline.stages(pipeline.step.literals(bit for _, _, bit in bits))
        for (name, clocks, _), stage in zip(bits, stages, strict=True):
            if stage not in (clocks, None):
                raise Mismatch(f"the Verilog has {stage} registers before {name}, and its interface says {clocks}")
        count = len(hardware.design.registers)
        what = f"{count} on one clock, no loops, {latency} on every way from codes to result"
        return _claim("registers", what, Verdict(True, "structure"), started)

    def _part(self, hardware: Hardware, index: int) -> Claim:
        started = time.monotonic()
        before, after = hardware.wires[index : index + 2]
        part = hardware.part(index)
        self._simulate(hardware, index, part)
        verdict = prove_part(part.logic, part.given, after.nodes, before.edge, self.timeout)
        values = len(set(before.bits) - {"0", "1"})
        what = f"{len(after.bits)} bits equal for all values of the {values} before them"
        if verdict.case is not None:
            verdict = self._with_codes(hardware, index, verdict)
            what = f"{len(after.bits)} bits equal for all codes"
        return _claim(after.name, what, verdict, started)

    def _simulate(self, hardware: Hardware, index: int, part: Logic) -> None:
        """Simulate a part on all vectors. Raises Mismatch unless the reference and the Verilog give what ``evaluate`` gives."""
        before, after = hardware.wires[index : index + 2]
        rows = packing.pack(self.traces[before.place], before.edge)
        wanted = packing.pack(self.traces[after.place], after.edge)
        if (_run(reference(after.nodes, before.edge), rows) != wanted).any():
            raise ToolError(
                f"the reference that {after.name} is compared with is not what evaluate gives: a fault of dwn-hw"
            )
        place = {bit: i for i, bit in enumerate(before.bits)}
        columns = [rows[:, place[end]] if end in place else np.zeros(len(rows), np.uint8) for end in part.ends]
        inputs = np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0), np.uint8)
        wrong = np.argwhere(_run(part.logic, inputs) != wanted)
        if wrong.size:
            self._refute(hardware, index, self.codes[wrong[0, 0]], "a directed vector")

    def _with_codes(self, hardware: Hardware, index: int, found: Verdict) -> Verdict:
        """Find out whether codes bring the values for which a part differs. Raises Mismatch with codes that do."""
        before, after = hardware.wires[index : index + 2]
        whole = hardware.part_of_codes(index)
        outputs, given = whole.logic.outputs[: len(after.bits)], whole.logic.outputs[len(after.bits) :]
        wanted = whole.logic.place(reference(after.nodes, before.edge), given)
        verdict = compare(whole.logic.cone(outputs), whole.logic.cone(wanted), self.timeout)
        if verdict.case is not None:
            codes = packing.unpack(verdict.case[None, : hardware.wires[0].edge.bits], hardware.wires[0].edge)
            self._refute(hardware, index, codes[0], verdict.how)
        if verdict.equal:
            return Verdict(True, f"{verdict.how}; some values of {before.name} that never occur would give others")
        return Verdict(
            None, f"differs for some values of {before.name} ({found.how}), and whether codes bring them is open"
        )

    def _refute(self, hardware: Hardware, index: int, codes: Codes, how: str) -> None:
        """Raise Mismatch for one sample of codes, with what ``evaluate`` says and what the Verilog does."""
        after, source = hardware.wires[index + 1], hardware.wires[0]
        wanted = evaluate.trace(self.network, codes[None])[after.place].reshape(-1)
        whole = hardware.part_of_codes(index)
        inputs = np.zeros((1, whole.logic.inputs), np.uint8)
        inputs[:, : source.edge.bits] = packing.pack(codes[None], source.edge)
        got = packing.unpack(_run(whole.logic, inputs)[:, : len(after.bits)], after.edge).reshape(-1)
        wrong = np.nonzero(wanted != got)[0]
        if not wrong.size:
            raise ToolError(
                f"{after.name} was said to differ, and for codes {codes.tolist()} does not: a fault of dwn-hw"
            )
        where = f"{after.name}, unit {wrong[0]}: expected {wanted[wrong[0]]}, got {got[wrong[0]]}"
        raise self._mismatch("the Verilog differs from the network", where, codes, how)

    def _mismatch(self, what: str, where: str, codes: Codes, how: str) -> Mismatch:
        path = self.exported.folder / "prove" / "counterexample.npz"
        np.savez(path, codes=codes[None])
        flat = codes.reshape(-1).tolist()
        shown = ", ".join(map(str, flat[:16])) + (", …" if len(flat) > 16 else "")
        repeat = f"dwn-hw prove {shlex.quote(str(self.exported.folder))}"
        if what.startswith("the Verilog"):
            repeat = (
                f"dwn-hw verify {shlex.quote(str(self.exported.folder))} --vectors 0 --data {shlex.quote(str(path))}"
            )
        return Mismatch(f"{what}: {where}\n  codes {shown} (found by {how})\n  see it in a simulator: {repeat}")

    def _ports(self, hardware: Hardware) -> Claim:
        started, result = time.monotonic(), hardware.result()
        carried = [hardware.wires[-1]]
        if self.exported.interface.with_scores:
            carried += [wires for wires in hardware.wires if wires.place == len(self.network.nodes) - 1]
        found = hardware.logic(result, [bit for wires in carried for bit in wires.bits])
        wanted = found.logic.cone(found.given)
        verdict = compare(found.logic, wanted, self.timeout)
        if verdict.case is not None:
            raise Mismatch(
                f"the Verilog differs from the network: {self.exported.interface.output.port} does not carry "
                + " and ".join(wires.name for wires in carried)
            )
        what = f"{len(result)} bits of the result carry " + " and ".join(wires.name for wires in carried)
        return _claim("ports", what, verdict, started)

    def _handshake(self, hardware: Hardware, ports: handshake.Stream) -> Claim:
        started = time.monotonic()
        chain = handshake.valid_chain(hardware.pipeline, ports, self.exported.interface.latency)
        verdict = handshake.prove_handshake(hardware.pipeline, ports, chain, self.timeout)
        what = f"{len(hardware.design.registers)} registers lose, double and invent nothing under back pressure and after reset"
        return _claim("handshake", what, verdict, started)


def _claim(name: str, what: str, verdict: Verdict, started: float) -> Claim:
    return Claim(name, what, verdict.how, round(time.monotonic() - started, 3), bool(verdict.equal))


def _vectors(network: ir.Network) -> Codes:
    return vectors.make(network, random=RANDOM, seed=0, addresses=True).codes


def _run(logic: Aig, cases: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The outputs (cases, outputs) for inputs ``cases`` (cases, inputs)."""
    blocks = [cases[start : start + _BLOCK] for start in range(0, len(cases), _BLOCK)]
    return np.concatenate([unpack(logic.simulate(pack(block)), len(block)) for block in blocks])
