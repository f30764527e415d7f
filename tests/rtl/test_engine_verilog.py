"""The text of an engine's Verilog."""

from __future__ import annotations

import re

import pytest

from dwn_hw.rtl.engine.engine_verilog import plain


@pytest.mark.parametrize("after", [" ", "\n      ", "\n"])
def test_a_wire_without_a_name_gets_one_also_where_a_line_breaks_behind_it(after):
    text = f"  wire [5:0] \\$40 ;\n  assign a = {{ {{6{{b[5]}}}}, \\$40{after}[5], \\$4 }} & \\$40{after};\n"
    made = plain(text)
    assert re.findall(r"net\d+", made) == ["net0", "net0", "net1", "net0"]
    assert "\\" not in made
    assert "$" not in made
    assert re.sub(r"\s", "", made) == "wire[5:0]net0;assigna={{6{b[5]}},net0[5],net1}&net0;"
