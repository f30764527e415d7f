"""Represents one clock of a design as logic, and the pipeline that its registers make.

:class:`ClockStep` is what happens in one clock: next values of registers, wires and ports as functions of registers and
ports. With those pins held that let the pipeline advance in every clock, :class:`RegisterPaths` follows the registers:
each bit has a *stage*, the registers between it and the input, which must be the same on every way; and then a register
is a wire, and what a part of the design computes is logic without a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dwn_hw.errors import Mismatch
from dwn_hw.verification.proof.aig import FALSE, TRUE, Aig
from dwn_hw.verification.proof.read_verilog import Bit, Design

#: The bits that are no wires, with their literals.
CONSTANTS: dict[Bit, int] = {"0": FALSE, "1": TRUE}


class ClockStep:
    """One clock: ``logic`` over *leaves*: ports that are not ``held``, registers, and the bits ``cut``, read as they are.

    ``held``: values of input ports, by name.
    """

    def __init__(self, design: Design, held: Mapping[str, int], cut: Iterable[Bit] = ()) -> None:
        self.design = design
        ports = {name: bits for name, bits in design.inputs.items() if name not in held}
        read = [bit for bits in ports.values() for bit in bits] + [*design.registers, *cut]
        self.leaves = tuple(bit for bit in dict.fromkeys(read) if bit not in CONSTANTS)
        self.logic = Aig(len(self.leaves))
        self.leaf = dict(zip(self.leaves, self.logic.literals(), strict=True))
        self.ports = {bit for bits in design.inputs.values() for bit in bits}
        held_bits = {bit: value for name, value in held.items() for bit in design.inputs[name]}
        self._literals: dict[Bit, int] = {**CONSTANTS, **self.leaf, **held_bits}

    def literals(self, bits: Iterable[Bit]) -> list[int]:
        """The literals of bits in this clock."""
        return [self._literal(bit) for bit in bits]

    def source(self, bit: Bit) -> int:
        """The literal that drives a leaf: a register's next value, a cut bit's gate, a port itself."""
        if bit in self.design.registers:
            return self._literal(self.design.registers[bit])
        if bit in self.design.gates:
            return self._gate(bit)
        if bit not in self.ports:
            raise Mismatch(f"the Verilog is no hardware: nothing drives {self.design.name(bit)}")
        return self.leaf[bit]

    def name(self, variable: int) -> str:
        """The name of a bit that has the value of ``variable``, or its inverse."""
        known = {**self._literals, **{leaf: self.source(leaf) for leaf in self.leaves}}
        bits = [bit for bit, literal in known.items() if literal >> 1 == variable]
        return min(
            map(self.design.name, bits), key=lambda name: (name.isdigit(), name.count("."), name), default="a bit"
        )

    def _gate(self, bit: Bit) -> int:
        gate = self.design.gates[bit]
        inputs = self.literals(gate.inputs)
        if gate.table is not None:
            return self.logic.table(inputs, gate.table)
        data = self.literals(gate.data)
        for which in inputs:
            data = [self.logic.choose(which, one, zero) for zero, one in zip(data[::2], data[1::2], strict=True)]
        return data[0]

    def _literal(self, bit: Bit) -> int:
        """The literal of a bit, found depth first on a stack of our own: logic may be deeper than Python calls."""
        stack, entered = [bit], set[Bit]()
        while stack:
            now = stack[-1]
            if now in self._literals:
                stack.pop()
                continue
            if now not in self.design.gates:
                raise Mismatch(f"the Verilog is no hardware: nothing drives {self.design.name(now)}")
            gate = self.design.gates[now]
            open_ = [source for source in (*gate.inputs, *gate.data) if source not in self._literals]
            if not open_:
                self._literals[now] = self._gate(now)
            elif now in entered:
                raise Mismatch(f"the Verilog is no hardware: a loop without a register through {self.design.name(now)}")
            else:
                entered.add(now)
                stack += open_
        return self._literals[bit]


class RegisterPaths:
    """The design with its registers followed, ``step`` being one clock in which all of them advance."""

    def __init__(self, step: ClockStep) -> None:
        self.step = step

    def follow(self, literals: Sequence[int], stop: Sequence[Bit]) -> tuple[Aig, list[Bit]]:
        """The logic of ``literals`` over the leaves ``stop`` and ports, registers being wires, and which leaves its inputs are.

        All of ``stop`` come first, then those ports that are read beside them.
        """
        ends = {self.step.leaf[bit] >> 1: bit for bit in stop}
        order = self._order(literals, ends)
        ports = [v for v in order if v <= self.step.logic.inputs and v not in ends and self._source(v) is None]
        ends |= {v: self.step.leaves[v - 1] for v in ports}
        logic = Aig(len(ends))
        found = {0: FALSE, **dict(zip(ends, logic.literals(), strict=True))}
        for v in order:
            if v in found:
                continue
            source = self._source(v)
            if source is None:
                cell = self.step.logic.cell(v)
                found[v] = logic.table([found[u] for u in cell.variables], cell.table)
            else:
                found[v] = found[source >> 1] ^ source & 1
        logic.outputs = [found[literal >> 1] ^ literal & 1 for literal in literals]
        return logic, list(ends.values())

    def stages(self, literals: Sequence[int]) -> list[int | None]:
        """The registers between each literal and the input ports; None for a constant. Raises Mismatch where ways differ."""
        stage: dict[int, int | None] = {0: None}
        for v in self._order(literals, {}):
            source = self._source(v)
            if source is not None:
                bit, before = self.step.leaves[v - 1], stage[source >> 1]
                stage[v] = None if before is None else before + (bit in self.step.design.registers)
            elif v <= self.step.logic.inputs:
                stage[v] = 0
            else:
                meeting = {s for u in self.step.logic.cell(v).variables if (s := stage[u]) is not None}
                if len(meeting) > 1:
                    ways = " and ".join(map(str, sorted(meeting)))
                    raise Mismatch(
                        f"the Verilog is not a pipeline: {self.step.name(v)} is of values {ways} registers old"
                    )
                stage[v] = min(meeting, default=None)
        return [stage[literal >> 1] for literal in literals]

    def registers(self, literals: Sequence[int]) -> list[Bit]:
        """The registers that the literals depend on."""
        bits = [self.step.leaves[v - 1] for v in self._order(literals, ()) if v <= self.step.logic.inputs]
        return [bit for bit in bits if bit in self.step.design.registers]

    def _source(self, variable: int) -> int | None:
        """The literal that drives a leaf which is no port; None for a port, and for a variable that is no leaf."""
        if variable > self.step.logic.inputs:
            return None
        bit = self.step.leaves[variable - 1]
        return None if bit in self.step.ports else self.step.source(bit)

    def _order(self, literals: Sequence[int], ends: Iterable[int]) -> list[int]:
        """The variables that the literals need, each behind those that it needs; not beyond ``ends``."""
        done, entered, order = {0}, set[int](), list[int]()
        ends = set(ends)
        stack = [literal >> 1 for literal in literals]
        while stack:
            v = stack[-1]
            if v in done:
                stack.pop()
            elif v in entered:
                done.add(v)
                order.append(v)
            else:
                entered.add(v)
                needs = [] if v in ends else self._needs(v)
                if (loop := next((u for u in needs if u in entered and u not in done), None)) is not None:
                    raise Mismatch(f"the Verilog is not a pipeline: {self.step.name(loop)} depends on itself")
                stack += [u for u in needs if u not in done]
        return order

    def _needs(self, variable: int) -> Sequence[int]:
        source = self._source(variable)
        if source is not None:
            return [source >> 1]
        return () if variable <= self.step.logic.inputs else self.step.logic.cell(variable).variables
