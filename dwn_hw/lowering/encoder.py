"""The shared-chain thermometer encoder: exact comparators that share what they can.

Of a feature of ``w`` bits take a few *upper signals* U: the top bits, or an order-preserving code of the top bits in which
neighbouring windows without a threshold are one. A thermometer bit is then one LUT of (U, c)::

    code >= u   =   U > U(u)   or   U == U(u) and c,      c = low bits >= low bits of u

The carry ``c`` matters only where U == U(u), so thresholds with different U(u) share one *chain*: a chain LUT takes low bits, the
carry below, and as many of U as tell its members' slices apart. Which thresholds share a chain is a small seeded search,
bounded in steps, so the same thresholds always give the same netlist. No U at all is the plain comparator.

Cost of a plain comparator of w bits: ⌈(w−1)/5⌉ LUT6. Of this form: one LUT a threshold, plus the chains.
"""

from __future__ import annotations

import functools
import itertools
import random
from dataclasses import dataclass

from dwn_hw import ir
from dwn_hw.lowering.functions import shannon, shannon_cost
from dwn_hw.mapped import FALSE, TRUE, Builder, Netlist, table_of

#: Steps of the search for one feature: for each of its thresholds, and at most.
STEPS, MAX_STEPS = 240, 5000

#: Choices of upper signals for which groupings are searched: those whose first grouping is cheapest.
SEARCHED = 3

#: Upper codes are made of at most this many top bits.
MAX_TOP = 8


@dataclass(frozen=True, slots=True)
class Upper:
    """The top ``top`` bits as ``signals`` signals: ``code[window]`` for each value of the top bits; rising."""

    top: int
    signals: int
    code: tuple[int, ...]

    @property
    def is_raw(self) -> bool:
        """Whether the signals are the top bits themselves."""
        return self.signals == self.top


def lower_thermometer(node: ir.Thermometer, before: ir.Edge, k: int, share: bool = True) -> Netlist:
    """The encoder as LUTs of at most ``k`` inputs. The last cell of a comparison carries its name, ``f03_ge_117``.

    ``share`` off: a plain comparator for each different threshold.
    """
    builder = Builder(before.bits)
    digits = max(2, len(str(len(node.thresholds) - 1)))
    outputs: list[int] = []
    low = 0
    for feature, (row, fmt) in enumerate(zip(node.thresholds, before.flat_formats(), strict=True)):
        bits = range(low, low + fmt.bits)
        nets = _feature(builder, f"f{feature:0{digits}}", bits, row, fmt, k, share)
        outputs += [nets[threshold] for threshold in row]
        low += fmt.bits
    return builder.finish(outputs)


def _feature(
    builder: Builder, name: str, bits: range, row: ir.Ints, fmt: ir.Format, k: int, share: bool
) -> dict[int, int]:
    """Nets of all different thresholds of one feature."""
    nets = {t: TRUE for t in row if t <= fmt.low} | {t: FALSE for t in row if t > fmt.high}
    real = {t - fmt.low: t for t in sorted(set(row)) if fmt.low < t <= fmt.high}
    if real:
        plan = _plan(tuple(real), fmt.bits, k, share)
        built = _Site(builder, name, bits, plan, fmt.signed, k).build({u: _label(t) for u, t in real.items()})
        nets |= {t: built[u] for u, t in real.items()}
    return nets


def _label(threshold: int) -> str:
    return f"ge_{'m' * (threshold < 0)}{abs(threshold)}"


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which upper signals, and which thresholds share a chain; ``cost`` in LUTs."""

    upper: Upper
    width: int
    chains: tuple[tuple[int, ...], ...]
    cost: int


@functools.lru_cache(maxsize=4096)
def _plan(thresholds: tuple[int, ...], width: int, k: int, share: bool) -> _Plan:
    """The cheapest plan: every choice of upper signals with a first grouping, then a search for the few best of them."""
    first = _first_plans(thresholds, width, k, share)
    steps = min(STEPS * len(thresholds), MAX_STEPS)
    searched = [_make(thresholds, plan.upper, width, k, steps) for plan in first[:SEARCHED]]
    return min([*searched, first[0]], key=lambda plan: plan.cost)


def _first_plans(thresholds: tuple[int, ...], width: int, k: int, share: bool) -> list[_Plan]:
    """Each choice of upper signals with its first grouping, cheapest first."""
    uppers = _uppers(thresholds, width, k) if share else [Upper(0, 0, (0,))]
    return sorted((_make(thresholds, upper, width, k, steps=0) for upper in uppers), key=lambda plan: plan.cost)


def rough_cost(row: ir.Ints, fmt: ir.Format, k: int) -> int:
    """LUTs for one feature's comparisons before groupings are searched: up to a quarter too many, in milliseconds."""
    real = tuple(sorted({t - fmt.low for t in row if fmt.low < t <= fmt.high}))
    return _first_plans(real, fmt.bits, k, share=True)[0].cost if real else 0


def _make(thresholds: tuple[int, ...], upper: Upper, width: int, k: int, steps: int) -> _Plan:
    chains, cost = _group(thresholds, upper, width, k, steps)
    # A threshold that is its chain alone needs no final LUT.
    finals = sum(1 for u in thresholds if upper.top and (u >> (width - upper.top) or u))
    coding = 0 if upper.is_raw else upper.signals * shannon_cost(upper.top, k)
    return _Plan(upper, width, chains, finals + coding + cost)


def _uppers(thresholds: tuple[int, ...], width: int, k: int) -> list[Upper]:
    """No upper signals; each number of raw top bits; each code of top bits that fits the final LUT."""
    found = [Upper(top, top, tuple(range(1 << top))) for top in range(min(k - 1, width) + 1)]
    for top in range(k, min(MAX_TOP, width) + 1):
        used = {u >> (width - top) for u in thresholds}
        code, current = [], 0
        for window in range(1 << top):
            if window and (window in used or window - 1 in used):
                current += 1
            code.append(current)
        signals = current.bit_length()
        if signals <= k - 1:
            found.append(Upper(top, signals, tuple(code)))
    return found


def _group(
    thresholds: tuple[int, ...], upper: Upper, width: int, k: int, steps: int
) -> tuple[tuple[tuple[int, ...], ...], int]:
    """Chains of thresholds with different upper codes, and how many chain LUTs they take: a seeded local search."""
    low_bits = width - upper.top
    mask = (1 << low_bits) - 1
    chained = [u for u in thresholds if u & mask]
    if not chained:
        return (), 0

    def code(u: int) -> int:
        return upper.code[u >> low_bits]

    @functools.cache
    def cost(members: tuple[int, ...]) -> int:
        return len(_slices(members, upper, low_bits, k)) if members else 0

    rng = random.Random(len(thresholds) * 64 + width)
    chains: list[tuple[int, ...]] = []
    for u in chained:  # first fit
        for i, chain in enumerate(chains):
            if all(code(u) != code(v) for v in chain):
                chains[i] = (*chain, u)
                break
        else:
            chains.append((u,))
    best, best_cost = list(chains), sum(map(cost, chains))
    for _ in range(steps if len(chained) > 1 else 0):
        u = rng.choice(chained)
        here = next(i for i, chain in enumerate(chains) if u in chain)
        there = rng.randrange(len(chains) + 1)
        if there == here:
            continue
        target = chains[there] if there < len(chains) else ()
        rival = [v for v in target if code(v) == code(u)]
        new_here = tuple(sorted({*chains[here], *rival} - {u}))
        new_there = tuple(sorted({*target, u} - {*rival}))
        change = cost(new_here) + cost(new_there) - cost(chains[here]) - cost(target)
        if change <= 0:
            updated = [*chains, ()] if there == len(chains) else list(chains)
            updated[here], updated[there] = new_here, new_there
            chains = [chain for chain in updated if chain]
            total = sum(map(cost, chains))
            if total < best_cost:
                best, best_cost = list(chains), total
    return tuple(best), best_cost


@dataclass(frozen=True, slots=True)
class _Slice:
    """One chain LUT: low bits ``low … low + width - 1``, and the upper signals that tell its members apart."""

    low: int
    width: int
    select: tuple[int, ...]


def _slices(members: tuple[int, ...], upper: Upper, low_bits: int, k: int) -> list[_Slice]:
    """The chain's LUTs from the low bits up; zeros below every member's lowest one are skipped."""
    lows = [u & (1 << low_bits) - 1 for u in members]
    codes = [upper.code[u >> low_bits] for u in members]
    at = min((u & -u).bit_length() - 1 for u in lows)
    found: list[_Slice] = []
    while at < low_bits:
        free = k - bool(found)
        for width in range(min(free, low_bits - at), 0, -1):
            parts = [low >> at & (1 << width) - 1 for low in lows]
            select = _separating(codes, parts, upper.signals, free - width)
            if select is not None:
                found.append(_Slice(at, width, select))
                at += width
                break
        else:  # even one bit needs too many upper signals: this grouping is impossible
            return found + [_Slice(at, 1, ())] * 1000
    return found


def _separating(codes: list[int], parts: list[int], signals: int, most: int) -> tuple[int, ...] | None:
    """The fewest upper signals (at most ``most``) under which members of different parts differ."""
    for count in range(min(most, signals) + 1):
        for select in itertools.combinations(range(signals), count):
            seen: dict[tuple[int, ...], int] = {}
            if all(
                seen.setdefault(tuple(c >> s & 1 for s in select), part) == part
                for c, part in zip(codes, parts, strict=True)
            ):
                return select
    return None


@dataclass(frozen=True, slots=True)
class _Site:
    """Where the plan of one feature is built: its ``bits`` (nets, LSB first) and its name, ``f03``."""

    builder: Builder
    name: str
    bits: range
    plan: _Plan
    signed: bool
    k: int

    @property
    def low_bits(self) -> int:
        """Bits below the upper ones."""
        return self.plan.width - self.plan.upper.top

    @property
    def flip(self) -> int:
        """The code minus the lowest one is the code with these bits inverted: the sign, or none."""
        return self.signed << (self.plan.width - 1)

    @property
    def flip_code(self) -> int:
        """The same of the upper signals: raw ones are read as they are, coded ones are already turned."""
        return self.flip >> self.low_bits if self.plan.upper.is_raw else 0

    def build(self, labels: dict[int, str]) -> dict[int, int]:
        """The net of each threshold, whose last cell is named ``<name>_<label>``."""
        upper, signals = self.plan.upper, self._upper_signals()
        carry: dict[int, int] = {}
        for serial, members in enumerate(self.plan.chains):
            # Without upper signals the chain of a threshold is the whole of it.
            label = f"chain{serial}" if upper.signals else labels[members[0]]
            carry |= dict.fromkeys(members, self._chain(f"{self.name}_{label}", members, signals))
        nets = {}
        for u, label in labels.items():
            table = table_of(upper.signals + 1, functools.partial(self._final, upper.code[u >> self.low_bits]))
            nets[u] = self.builder.lut(f"{self.name}_{label}", [carry.get(u, TRUE), *signals], table)
        return nets

    def _final(self, own: int, address: int) -> bool:
        """U > U(u), or U == U(u) and the carry, which is address bit 0."""
        code = (address >> 1) ^ self.flip_code
        return code > own or (code == own and bool(address & 1))

    def _upper_signals(self) -> list[int]:
        upper, top = self.plan.upper, list(self.bits[self.low_bits :])
        if upper.is_raw:
            return top
        turned = self.flip >> self.low_bits
        return [
            shannon(
                self.builder,
                f"{self.name}_top{signal}",
                top,
                table_of(upper.top, lambda a, s=signal: upper.code[a ^ turned] >> s & 1),
                self.k,
            )
            for signal in range(upper.signals)
        ]

    def _chain(self, name: str, members: tuple[int, ...], signals: list[int]) -> int:
        """The carry that all ``members`` share."""
        carry = TRUE
        for piece in _slices(members, self.plan.upper, self.low_bits, self.k):
            last = piece.low + piece.width == self.low_bits
            inputs = [carry, *self.bits[piece.low : piece.low + piece.width], *(signals[s] for s in piece.select)]
            table = table_of(len(inputs), functools.partial(self._passes, piece, self._parts(piece, members)))
            carry = self.builder.lut(name if last else f"{name}_from{piece.low}", inputs, table)
        return carry

    def _parts(self, piece: _Slice, members: tuple[int, ...]) -> dict[int, int]:
        """For each value of the selecting signals, the slice of the constant that is compared with."""
        parts = {}
        for u in members:
            code = self.plan.upper.code[u >> self.low_bits] ^ self.flip_code
            chosen = sum((code >> s & 1) << i for i, s in enumerate(piece.select))
            parts[chosen] = u >> piece.low & (1 << piece.width) - 1
        return parts

    def _passes(self, piece: _Slice, parts: dict[int, int], address: int) -> bool:
        """Address, from the low end: the carry below, the low bits, the selecting signals."""
        mask = (1 << piece.width) - 1
        value = (address >> 1 & mask) ^ (self.flip >> piece.low & mask)
        return value + (address & 1) > parts.get(address >> (1 + piece.width), 0)
