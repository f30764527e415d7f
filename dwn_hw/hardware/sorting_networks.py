"""Comparator networks that sort, or that give the first few of what is sorted.

A comparator (a, b) puts the lesser of two numbers on wire ``a`` and the greater on wire ``b``. By the 0–1 principle a network
sorts everything if it sorts all inputs of 0 and 1 (Knuth, The Art of Computer Programming 3, 5.3.4, theorem Z); :func:`is_right`
tries all of them.

For up to 16 numbers the networks are the best known, by their number of comparators and by depth, as Bert Dobbelaere lists them
(https://bertdobbelaere.github.io/sorting_networks.html); sizes and depths are those of 5.3.4, whose networks are of Green,
Shapiro, Waksman, Juillé and others. For more numbers, and where only the first few are asked for, parts are sorted and joined by
Batcher's odd-even merges (Batcher 1968), and what nobody reads is left out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

#: (wire of the lesser number, wire of the greater one).
Comparator: TypeAlias = tuple[int, int]

#: By what the best network is chosen: words of logic, or layers.
CRITERIA = (SIZE, DEPTH) = ("size", "depth")

#: The best known networks. A comparator is two hexadecimal digits; a blank ends a layer. Where the smallest network is not the
#: shallowest, both stand here.
_KNOWN: dict[int, tuple[str, ...]] = {
    1: ("",),
    2: ("01",),
    3: ("02 01 12",),
    4: ("0213 0123 12",),
    5: ("0314 0213 0124 1234 23",),
    6: ("051324 1234 0325 012345 1234",),
    7: ("062345 021436 012534 1246 2345 123456",),
    8: ("02134657 04152637 01234567 2435 1436 123456",),
    9: ("03172548 07243856 02134578 143657 01243568 234567 123456",),
    10: (
        "0819273546 02145879 03245769 013689 15234867 12354678 234567 3456",
        "0125364789 0618243957 0213456879 0127354689 12345678 13245768 234567",
    ),
    11: ("0916243758 01354a6978 1325478a 0412375968 012645789a 24365789 12345678 234567",),
    12: (
        "0817263b4a59 0125346978ab 02165a9b 031246578b9a 1435687a 1325698a 23456789 4657 345678",
        "0817263b4a59 021435687a9b 01294756ab 1327498a 0123456789ab 1235689a 24365879 123456789a",
    ),
    13: (
        "0c1a29375b68 16234b798a 041236789abc 46598bac 0538476b9a 01256978ab 1324569a 12345768 23456789 3456",
        "0b17243589ac 02364c578a 081325496b7c 012a38469b 13245a6879bc 123458697a 2347568b9a 456789ab 3456789a",
    ),
    14: (
        (
            "0123456789abcd 02134859acbd 041237586a9dbc 0615394a7d8c 2a3b4679 13285b67ac "
            "1426357b8a9c 2436587a9b 3456789a 67"
        ),
        (
            "0123456789abcd 02134859acbd 0a162b3d587c 1428365b7a9c 01394a5768cd "
            "1524376a8c9b 123546798abc 23456789ab 3456789a"
        ),
    ),
    15: (
        (
            "123a4e586d7c9b 0e15283769acbd 0716294a5b8dce 0624357b8a9cde 0312475968abcd 01234679acbd "
            "12358abc 3456789a 23456789ab 5678"
        ),
        (
            "061a2e394c5d7b 0725346b8a9cde 1d23465978aebc 0314576d89abce 021538467a9bcd "
            "01253a48679cbd 123456798abc 3546789a 23456789ab"
        ),
    ),
    16: (
        (
            "0d1c2f3e48567b9a 051729346d8eafbc 0123456879abcdef 02134a5b6789cedf 123c46578a9bde 1426587a9dbe "
            "24369cbd 356879ac 3456789abc 6789"
        ),
        (
            "05142c3d6789afbe 021a36475e8b9cdf 08132b4d596a7fce 012438567c9abdef 132548697badce "
            "12354b6879acde 23456789abcd 46578a9b 3456789abc"
        ),
    ),
}

#: Above so many numbers only two ways of dividing them are tried.
_MANY = 32


@dataclass(frozen=True, slots=True)
class Network:
    """``comparators`` over ``wires``, in order; then wire ``i`` holds entry ``i`` of what is sorted, for ``i`` below ``keep``."""

    wires: int
    keep: int
    comparators: tuple[Comparator, ...]

    @property
    def size(self) -> int:
        """The number of comparators."""
        return len(self.comparators)

    @property
    def words(self) -> int:
        """The words of logic: one to compare for each comparator, and one for each of its two results that is read."""
        return self.size + sum(sum(sides) for sides in self.read())

    @property
    def depth(self) -> int:
        """The number of layers, each comparator standing as early as it can."""
        level = [0] * self.wires
        for a, b in self.comparators:
            level[a] = level[b] = max(level[a], level[b]) + 1
        return max(level)

    def read(self) -> list[tuple[bool, bool]]:
        """For each comparator, whether the lesser number and whether the greater one is read behind it."""
        needed, sides = set(range(self.keep)), list[tuple[bool, bool]]()
        for a, b in reversed(self.comparators):
            sides.append((a in needed, b in needed))
            if sides[-1] != (False, False):
                needed |= {a, b}
        return sides[::-1]

    def pruned(self, keep: int) -> Network:
        """The network for the first ``keep`` entries alone: without comparators that nothing reads."""
        whole = Network(self.wires, keep, self.comparators)
        kept = (pair for pair, sides in zip(self.comparators, whole.read(), strict=True) if any(sides))
        return Network(self.wires, keep, tuple(kept))

    def mirrored(self) -> Network:
        """The network upside down, which sorts as well if this one does."""
        last = self.wires - 1
        return Network(self.wires, self.keep, tuple((last - b, last - a) for a, b in self.comparators))


def is_right(network: Network) -> bool:
    """Whether a network does what it says, by the 0–1 principle: all inputs of 0 and 1, a bit of an integer for each of them."""
    wires = [_column(i, network.wires) for i in range(network.wires)]
    # at_most[i]: whether at most i of the numbers are 0, so that entry i of what is sorted is a 1.
    cases = (1 << (1 << network.wires)) - 1
    at_most = [cases] * network.wires
    for seen, ones in enumerate(wires):
        for i in reversed(range(min(seen + 1, network.wires))):
            at_most[i] = at_most[i] & ones | (at_most[i - 1] & ~ones if i else 0)
    for a, b in network.comparators:
        wires[a], wires[b] = wires[a] & wires[b], wires[a] | wires[b]
    return wires[: network.keep] == at_most[: network.keep]


def _column(index: int, inputs: int) -> int:
    """The values of one of so many bits in all cases: 2**index zeros, as many ones, and so on."""
    found = (1 << (1 << index)) - 1 << (1 << index)
    for width in range(index + 1, inputs):
        found |= found << (1 << width)
    return found


@functools.cache
def known(wires: int) -> tuple[Network, ...]:
    """The best known networks for so many wires, the smallest first; none above 16."""
    return tuple(
        Network(wires, wires, tuple(divmod(int(pair, 16), 16) for pair in _pairs(text)))
        for text in _KNOWN.get(wires, ())
    )


def _pairs(text: str) -> Iterable[str]:
    digits = text.replace(" ", "")
    return (digits[i : i + 2] for i in range(0, len(digits), 2))


@functools.cache
def best(wires: int, keep: int, by: str = SIZE) -> Network:
    """The best network of all that we know for the first ``keep`` of ``wires`` numbers.

    By ``SIZE``: of the fewest words of logic, then the least depth; by ``DEPTH`` the other way round.
    """

    def rank(network: Network) -> tuple[int, int]:
        both = network.words, network.depth
        return both if by == SIZE else both[::-1]

    choices = [net.pruned(keep) for whole in known(wires) for net in (whole, whole.mirrored())]
    if keep < wires or not choices:
        halves = range(1, wires // 2 + 1) if wires <= _MANY else {wires // 2, wires // 32 * 16}
        choices += [_joined(best(n, min(n, keep), by), best(wires - n, min(wires - n, keep), by), keep) for n in halves]
    return min(choices, key=rank)


def _joined(one: Network, other: Network, keep: int) -> Network:
    """Two networks side by side, and a merge of what they give."""
    wires = one.wires + other.wires
    below = [(a + one.wires, b + one.wires) for a, b in other.comparators]
    pairs = [*one.comparators, *below]
    order = _merge(pairs, range(one.keep), range(one.wires, one.wires + other.keep))
    # Wires are numbered by what they hold at the end; which number comes in where does not matter.
    number = {wire: i for i, wire in enumerate(order)}
    for wire in range(wires):
        number.setdefault(wire, len(number))
    return Network(wires, wires, tuple((number[a], number[b]) for a, b in pairs)).pruned(keep)


def _merge(pairs: list[Comparator], one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Add the comparators that merge the rising numbers on two rows of wires. Returns the wires in the order of their numbers.

    Batcher's odd-even merge: first, third … entries of both rows are merged, and second, fourth …; then neighbours are compared.
    """
    if not one or not other:
        return [*one, *other]
    if len(one) == len(other) == 1:
        pairs.append((one[0], other[0]))
        return [one[0], other[0]]
    odd = _merge(pairs, one[::2], other[::2])
    even = _merge(pairs, one[1::2], other[1::2])
    order = odd[:1]
    for i, low in enumerate(even):
        order.append(low)
        if i + 1 < len(odd):
            pairs.append((low, odd[i + 1]))
            order.append(odd[i + 1])
    return order + odd[len(even) + 1 :]
