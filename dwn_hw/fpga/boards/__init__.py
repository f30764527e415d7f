"""Boards: what is known of each (``boards/*.toml``), and the files that the whole design of one is made of.

A data file says which amaranth-boards platform a board has, how large its FPGA is and what loads a bitstream;
:mod:`dwn_hw.fpga.boards.platforms` holds what the platform classes get wrong, :mod:`dwn_hw.fpga.boards.project` the files.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass

from dwn_hw import _assets
from dwn_hw.errors import OptionError, Problem
from dwn_hw.hardware.families import TARGETS

#: What a board holds, in the order in which it is shown.
KINDS = ("lut", "ff", "bram")


@dataclass(frozen=True, slots=True)
class Board:
    """One board. ``key`` is what ``--board`` takes; ``platform`` is ``module:Class``.

    ``capacity`` has :data:`KINDS`, block RAMs in the unit of the family (:class:`dwn_hw.hardware.families.BlockRam`).

    ``family``: of :data:`dwn_hw.hardware.families.FAMILIES`. ``flow``: ``nextpnr``, or the vendor's tool (``vivado``,
    ``quartus``), which alone makes a bitstream. ``programmers``: commands in which ``{bitstream}`` stands for the file;
    the first that is installed loads it. ``clock_mhz`` is the default clock's.
    """

    key: str
    name: str
    device: str
    family: str
    platform: str
    flow: str
    clock_mhz: float
    baud: int
    uart: str
    notes: str
    capacity: dict[str, int]
    programmers: tuple[tuple[str, ...], ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """The ``--target`` of exports that this board takes, the best first."""
        return (self.family, "generic") if self.family in TARGETS else ("generic",)

    def clocks_per_bit(self, baud: int | None = None) -> int:
        """Clocks that a bit on the UART lasts, at its own baud rate or another. Raises OptionError.

        A byte is ten bits, sampled in the middle of each: with 2 % of error on this side the last one is still read well.
        """
        wanted = baud or self.baud
        clocks = max(1, round(self.clock_mhz * 1e6 / wanted))
        exact = self.clock_mhz * 1e6 / clocks
        if not MIN_CLOCKS_PER_BIT <= clocks <= MAX_CLOCKS_PER_BIT or abs(exact / wanted - 1) > MAX_BAUD_ERROR:
            most, least = (int(self.clock_mhz * 1e6 / limit) for limit in (MIN_CLOCKS_PER_BIT, MAX_CLOCKS_PER_BIT))
            rule = f"a rate from {least + 1} to {most} that {self.clock_mhz:g} MHz divides into within {MAX_BAUD_ERROR:.0%}"
            raise OptionError(Problem("--baud", rule, str(wanted), f"Leave it out for {self.baud}."))
        return clocks


#: Of a UART: bits shorter than the first leave no room for sampling in the middle, of longer ones than the second the shell
#: cannot count a time-out; the error of rate that is bearable.
MIN_CLOCKS_PER_BIT, MAX_CLOCKS_PER_BIT, MAX_BAUD_ERROR = 4, 1 << 18, 0.02


def names() -> tuple[str, ...]:
    """Every board's key."""
    return tuple(sorted(path.stem for path in (_assets.ROOT / "boards").glob("*.toml")))


def read(key: str) -> Board:
    """A board's data. Raises OptionError with the nearest names for one that is unknown."""
    if key not in names():
        near = difflib.get_close_matches(key.lower(), names(), 3, 0.4)
        remedy = f"Did you mean {' or '.join(near)}?" if near else "`dwn-hw boards` lists them."
        raise OptionError(Problem("--board", "a board that is known", repr(key), remedy))
    said = tomllib.loads(_assets.asset("boards", f"{key}.toml").read_text("utf-8"))
    programmers = tuple(tuple(programmer["command"]) for programmer in said.pop("programmer"))
    return Board(key=key, programmers=programmers, **said)


def routed(key: str, option: str, remedy: str) -> Board:
    """The board of an ``option``, which nextpnr must route. Raises OptionError for another, with the ``remedy``, or for none."""
    board = read(key)
    if board.flow != "nextpnr":
        rule = f"a board that nextpnr routes ({', '.join(one.key for one in every() if one.flow == 'nextpnr')})"
        raise OptionError(Problem(option, rule, key, remedy))
    return board


def every() -> tuple[Board, ...]:
    """All boards, the smallest of each family first."""
    found = [read(key) for key in names()]
    return tuple(sorted(found, key=lambda board: (board.flow != "nextpnr", board.family, board.capacity["lut"])))


def family_of(key: str | None, target: str | None) -> str | None:
    """The ``--target`` that a board takes best; None where no board is named.

    Raises OptionError for a ``target`` that it does not take.
    """
    if key is None:
        return None
    board = read(key)
    if target is not None:
        check_target(board, target)
    return board.targets[0]


def check_target(board: Board, target: str) -> None:
    """Raise OptionError for an export that instantiates cells which the board's FPGA has not."""
    if target not in board.targets:
        remedy = f"Export again with --target {board.targets[0]}"
        remedy += "." if len(board.targets) == 1 else ", or with --target generic, which every board takes."
        rule = f"with {board.key} an export for {' or '.join(board.targets)}"
        raise OptionError(Problem("--board", rule, f"one for {target}", remedy))
