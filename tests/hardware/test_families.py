"""Each family of FPGAs is known whole: whatever needs to know something of it finds it, in one unit."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw.fpga import boards
from dwn_hw.hardware.block_ram import Memory, banks, block_rams
from dwn_hw.hardware.families import FAMILIES, SYNTHESES, TARGETS, BlockRam, own_cells
from dwn_hw.rtl.cells import CELLS

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"lut", "ff", "carry", "mux", "bram", "dsp"}


def test_every_target_says_how_its_cells_are_instantiated_and_has_their_models():
    assert set(CELLS) == set(TARGETS)
    assert all((ROOT / "rtl_templates" / own_cells(target).models).is_file() for target in TARGETS)


def test_a_family_without_cells_of_its_own_is_no_target():
    assert "cyclonev" in FAMILIES
    assert "cyclonev" not in TARGETS
    with pytest.raises(ValueError, match="cyclonev has no LUT cells of its own"):
        own_cells("cyclonev")


@pytest.mark.parametrize("name", SYNTHESES)
def test_yosys_cells_of_every_kind_have_a_pattern_that_compiles(name):
    assert set(SYNTHESES[name].cells) == KINDS
    for pattern in (*SYNTHESES[name].cells.values(), SYNTHESES[name].half_bram):
        assert re.compile(pattern)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_no_shape_of_a_block_ram_holds_more_than_the_block_and_some_shape_nearly_fills_it(family):
    ram = family.block_ram
    for shapes, kbit in ((ram.shapes, ram.kbit), (ram.halves, ram.kbit / 2)):
        sizes = [rows * bits for rows, bits in shapes]
        assert all(size <= kbit * 1024 for size in sizes)
        assert not sizes or max(sizes) == kbit * 1024


@pytest.mark.parametrize("board", boards.every(), ids=lambda board: board.key)
def test_a_board_is_of_a_family_that_is_known_and_takes_exports_for_a_target(board):
    assert board.family in FAMILIES
    assert set(board.targets) <= set(TARGETS)


@pytest.mark.parametrize(
    ("family", "memory", "blocks"),
    [
        ("xc7", Memory(72, 512), 1),
        ("xc7", Memory(36, 512), 0.5),
        ("xc7", Memory(37, 512), 1),
        ("xc7", Memory(1, 16385), 1),
        ("xc7", Memory(108, 1024), 3),
        ("ecp5", Memory(36, 512), 1),
        ("ecp5", Memory(72, 1024), 4),
        ("cyclonev", Memory(40, 256), 1),
        ("cyclonev", Memory(40, 512), 2),
        ("ice40", Memory(16, 257), 2),
        ("gowin", Memory(0, 0), 0),
    ],
)
def test_blocks_are_counted_in_the_unit_of_the_family_s_boards(family, memory, blocks):
    assert block_rams(memory, FAMILIES[family].block_ram) == blocks


@given(st.integers(1, 200), st.integers(1, 5000), st.sampled_from([family.block_ram for family in FAMILIES.values()]))
def test_the_fewest_blocks_hold_all_bits_and_no_single_shape_needs_fewer(bits, rows, ram: BlockRam):
    memory = Memory(bits, rows)
    found = block_rams(memory, ram)
    assert found * ram.kbit * 1024 >= memory.size
    assert found <= min(math.ceil(rows / deep) * math.ceil(bits / wide) for deep, wide in ram.shapes)
    assert banks(memory, ram) >= 1
