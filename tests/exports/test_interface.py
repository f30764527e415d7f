"""The interface that is written says where each bit is, in JSON and in words, and both from one source."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
import shift_networks
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import ExportError
from dwn_hw.exports import interface_json, interface_text, planning, reader, writer
from dwn_hw.exports.derive_interface import describe
from dwn_hw.hardware.design import Pipeline, Stage, make_design
from dwn_hw.hardware.folded import make_folded
from dwn_hw.hardware.interface import FORMAT, Field
from dwn_hw.hardware.register_placement import Registers
from dwn_hw.ir import serialize

NETWORK = ir.Network(
    ir.Input((3,), (ir.Format(8), ir.Format(4, True), ir.Format(5)), ("1/255", "1", "1/2"), ("0", "0", "-1")),
    (ir.Thermometer(((3, 200), (0,), (1, 2))), ir.GroupSum(2, (), "3.3"), ir.ArgMax()),
    ("cat|dog", "none"),
    ("width", "a|b", "depth"),
    (("source", "a test"), ("scaler", "standard, folded"), ("input", "stated as u8/255")),
)


def described(network=NETWORK, after=(True, False, True), shell="stream", scores=False):
    design = make_design(network, shell=shell, with_scores=scores)
    stages = (
        Stage(name, i, Registers((), register))
        for i, (name, register) in enumerate(zip(network.names(), after, strict=True))
    )
    return describe(dataclasses.replace(design, pipeline=Pipeline(tuple(stages))))


def test_features_lie_one_above_the_other_from_bit_0():
    source = described().input
    assert [(f.index, f.name, f.lsb, f.bits, f.signed) for f in source.features] == [
        (0, "width", 0, 8, False), (1, "a|b", 8, 4, True), (2, "depth", 12, 5, False),
    ]  # fmt: skip
    assert [(f.step, f.offset) for f in source.features] == [("1/255", "0"), ("1", "0"), ("1/2", "-1")]
    assert source.bits == 17
    assert (source.chosen, source.scaler) == ("stated as u8/255", "standard, folded")


@given(draw=st.data())
def test_the_features_fill_the_port_without_a_gap(networks, draw):
    network = draw.draw(networks())
    source = described(network, (True,) * len(network.nodes)).input
    low = 0
    for feature, fmt in zip(source.features, network.input.edge.flat_formats(), strict=True):
        assert (feature.lsb, feature.bits, feature.signed) == (low, fmt.bits, fmt.signed)
        low += fmt.bits
    assert source.bits == low


def test_entries_of_a_row_share_its_format_step_and_offset():
    port = ir.Input((2, 2), (ir.Format(8), ir.Format(4)), ("1/255", "1/2"))
    network = ir.Network(port, (ir.Thermometer(((1,), (2,), (3,), (4,))),))
    features = described(network, (False,)).input.features
    assert [(f.lsb, f.bits, f.step) for f in features] == [
        (0, 8, "1/255"), (8, 8, "1/255"), (16, 4, "1/2"), (20, 4, "1/2"),
    ]  # fmt: skip


def test_the_class_is_lowest_and_scores_are_above_it_when_asked():
    assert described().output.fields == (Field("class", lsb=0, bits=1, count=1, signed=False),)
    fields = described(scores=True).output.fields
    assert fields[1] == Field("scores", lsb=1, bits=2, count=2, signed=False)


@pytest.mark.parametrize(
    ("shell", "after", "clock", "reset", "ports"),
    [
        ("stream", (True, False, True), "clk", "rst", ("x_payload", "y_payload")),
        ("none", (True, True, True), "clk", None, ("x", "y")),
        ("none", (False, False, False), None, None, ("x", "y")),
    ],
)
def test_ports_follow_the_shell_and_the_clock(shell, after, clock, reset, ports):
    found = described(after=after, shell=shell)
    assert (found.clock, found.reset) == (clock, reset)
    assert (found.input.port, found.output.port) == ports
    assert found.has_streams == (found.output.ready is not None) == (shell == "stream")
    assert (found.latency, found.interval) == (sum(after), 1)
    document = interface_json.to_json(found)
    assert ("valid" in document["input"]) == ("ready" in document["output"]) == (shell == "stream")
    assert document["clock"] == clock


def test_the_parts_say_their_node_and_their_registers_and_are_read_back():
    design = make_design(NETWORK, latency=3)
    found = describe(design)
    assert [(part.name, part.node) for part in found.settings.parts] == [(name, name) for name in NETWORK.names()]
    assert reader.read_design(found, NETWORK) == dataclasses.replace(design, netlists=())
    assert reader.read_design(found, NETWORK).lowered() == design
    assert found.latency == 3


def test_it_is_plain_json_and_knows_its_network():
    found = interface_json.to_json(described())
    assert json.loads(json.dumps(found)) == found
    assert found["format"] == FORMAT == 1
    assert found["digest"] == serialize.digest(NETWORK)
    assert found["classes"] == ["cat|dog", "none"]
    assert found["ties"] == "the lowest class index wins"


def test_the_page_says_the_same_in_words():
    found = described(scores=True)
    page = interface_text.to_markdown(found)
    for line in (
        "| 0 | width | [7:0] | u8 | 1/255 | 0 |",
        "| 1 | a\\|b | [11:8] | s4 | 1 | 0 |",
        "| 2 | depth | [16:12] | u5 | 1/2 | -1 |",
    ):
        assert line in interface_text.features(found).splitlines(), line
    for line in (
        "# Interface of `dwn_top`",
        "| `clk` | in | 1 | clock, rising edge |",
        "| `x_payload` | in | 17 | packed codes |",
        "| `y_payload` | out | 5 | packed result |",
        "Latency 2 clocks when nothing stalls, one inference a clock. Registers: after encoder, after argmax.",
        "| class | [0:0] | 1 of 1 bits, first lowest |",
        "| scores | [4:1] | 2 of 2 bits, first lowest |",
        "Format: stated as u8/255.",
        "The model's scaler: standard, folded.",
        "Of equal scores, the lowest class index wins.",
        "| 0 | cat\\|dog |",
    ):
        assert line in page.splitlines(), line
    assert page.endswith("|\n")


def test_a_combinational_core_has_no_clock_on_the_page():
    page = interface_text.to_markdown(described(after=(False,) * 3, shell="none"))
    assert "Combinational: the result follows the codes within the clock." in page
    assert "`clk`" not in page
    assert "`x_valid`" not in page


def test_packing_by_the_page_is_the_port_s_own_order():
    """A host that shifts each code to its lsb gives the bits in the order of the edge."""
    codes = np.array([200, -3, 17])
    features = zip(codes.tolist(), described().input.features, strict=True)
    packed = sum((code & (1 << f.bits) - 1) << f.lsb for code, f in features)
    assert packed == 200 | (13 << 8) | (17 << 12)


# ------------------------------------------------------------------------------------------------- the document

DESIGNS = {
    "stream": lambda: make_design(NETWORK),
    "none": lambda: make_design(NETWORK, shell="none", latency=0),
    "uart": lambda: make_design(NETWORK, shell="uart", encoder="streamed", with_scores=True),
    "axis": lambda: make_design(NETWORK, shell="axis"),
    "folded": lambda: make_folded(shift_networks.mlp(2, 5, 4, 3), lanes=2),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_a_document_is_read_back_as_what_was_written(name):
    found = describe(DESIGNS[name]())
    document = json.loads(json.dumps(interface_json.to_json(found)))
    assert interface_json.from_json(document) == found
    assert list(interface_json.to_json(interface_json.from_json(document))) == list(document)


def test_the_settings_stand_where_readers_look_for_them():
    document = interface_json.to_json(describe(DESIGNS["axis"]()))
    assert list(document) == [
        *(
            "format",
            "tool",
            "digest",
            "name",
            "top",
            "kind",
            "shell",
            "target",
            "clock",
            "reset",
            "latency",
            "interval",
        ),
        *("transfers", "encoder", "shared_encoder", "parts", "input", "output", "classes", "ties", "wrapper"),
    ]


def places(value, path=()):
    """Every key of a document, of its first entries."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from places(inner, (*path, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def edited(document, path, change):
    copy = json.loads(json.dumps(document))
    at = copy
    for key in path[:-1]:
        at = at[key]
    change(at, path[-1])
    return copy


def said(path):
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


@pytest.mark.parametrize("name", DESIGNS)
def test_a_key_that_lacks_is_named_wherever_it_lacks(name):
    document = interface_json.to_json(describe(DESIGNS[name]()))
    for path in places(document):
        if path[-1] in ("valid", "ready", "word"):  # a port without them is a port; it is not this design's
            continue
        broken = edited(document, path, lambda at, key: at.pop(key))
        with pytest.raises(ValueError, match=re.escape(f"no {said(path)}") + "$"):
            interface_json.from_json(broken)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("value", [[[]], {"x": 1}, 1.5, None, "", 7, True])
def test_a_value_of_another_type_is_named_wherever_it_stands(name, value):
    document = interface_json.to_json(describe(DESIGNS[name]()))
    for path in places(document):
        right = document
        for key in path:
            right = right[key]
        if type(value) is type(right) and value != [[]] and value != {"x": 1}:
            continue
        if path[-1] in ("clock", "reset") and len(path) == 1 and (value is None or isinstance(value, str)):
            continue
        broken = edited(document, path, lambda at, key: at.__setitem__(key, value))
        with pytest.raises(ValueError, match=re.escape(said(path))):
            interface_json.from_json(broken)


def test_keys_that_are_unknown_are_named_together():
    document = interface_json.to_json(describe(DESIGNS["stream"]()))
    document |= {"lanes": 3, "settings": {}, "wrapper": {}}
    document["input"]["colour"] = "red"
    document["input"]["features"][1]["x"] = 0
    with pytest.raises(ValueError, match="unknown") as caught:
        interface_json.from_json(document)
    for fault in (
        "lanes, which is unknown",
        "settings, which is unknown",
        "wrapper, which is unknown",
        "input.colour, which is unknown",
        "input.features[1].x, which is unknown",
    ):
        assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"digest": "0" * 16}, "digest 0000000000000000, while the network has"),
        ({"latency": True}, "latency True, which is not an integer"),
        ({"latency": 7, "interval": 2}, "another interval, latency"),
        ({"tool": ""}, "tool '', which is no version of dwn-hw"),
        ({"tool": "dwn-hw 1.²"}, "tool 'dwn-hw 1.²', which is no version of dwn-hw"),
        ({"target": "asic"}, "target 'asic', which is none of generic, xc7"),
        ({"encoder": "serial"}, "encoder 'serial', which is none of parallel, streamed"),
        ({"shell": "pcie"}, "shell 'pcie', which is none of stream, none, uart, axis"),
        ({"shell": "uart"}, "no wrapper"),
        ({"shell": "none", "encoder": "streamed"}, "encoder 'streamed', which the shell none cannot have"),
        ({"kind": "folded"}, "no lanes, no steps, encoder, which is unknown"),
        ({"name": "../jets"}, "name '../jets' (wanted: a letter, then letters,"),
        ({"kind": "origami"}, "kind 'origami', which is none of parallel, folded"),
    ],
)
def test_an_edited_export_is_refused_with_the_name_of_the_file_and_of_the_key(tmp_path, changes, says):
    writer.write(planning.ExportPlan(make_design(NETWORK), 0, {}, None), tmp_path / "out")
    path = tmp_path / "out" / "interface.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ExportError) as caught:
        reader.read_export(tmp_path / "out")
    assert str(caught.value).startswith(f"{path}: the interface of this network; got {says}")


def test_an_export_of_another_version_is_read_with_its_own_version(tmp_path):
    writer.write(planning.ExportPlan(make_design(NETWORK), 0, {}, None), tmp_path / "out")
    path = tmp_path / "out" / "interface.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tool": "dwn-hw 7.8.9rc1"}))
    assert reader.read_export(tmp_path / "out").interface.layout.version == (7, 8, 91)


def test_an_export_is_read_with_its_design(tmp_path):
    for name, make in DESIGNS.items():
        design = make()
        writer.write(planning.ExportPlan(design, 0, {}, None), tmp_path / name)
        exported = reader.read_export(tmp_path / name)
        assert exported.interface == describe(design)
        assert exported.design.lowered() == design
        assert exported.network == design.network
