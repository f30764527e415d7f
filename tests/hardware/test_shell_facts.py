"""Each fact of a shell, of an encoder and of a kind of hardware stands once, and nothing is said of what there is not."""

from __future__ import annotations

import re
import typing

import numpy as np
import pytest
from click.testing import CliRunner
from lut_networks import random_network

from dwn_hw.cli import main
from dwn_hw.errors import OptionError
from dwn_hw.exports.derive_interface import describe
from dwn_hw.exports.handover import outside
from dwn_hw.exports.options import Options, Request, check
from dwn_hw.frontend.integer_networks.trained_network import LiveModel
from dwn_hw.frontend.trained_dwn import TrainedDwn, TrainedGroupSum, TrainedLutLayer
from dwn_hw.hardware import encoders, shell_facts
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.encoders import ENCODERS
from dwn_hw.hardware.interface import Settings
from dwn_hw.hardware.kinds import Design
from dwn_hw.hardware.shell_facts import SHELLS, Wrapper
from dwn_hw.rtl import wrap

TRAINED = TrainedDwn(
    np.zeros((1, 2), np.float32),
    None,
    (TrainedLutLayer(np.zeros((1, 1), int), np.array([[0, 1]], np.uint8)),),
    TrainedGroupSum(1, 1.0, None),
)


def said(choices, between):
    text = between.join(choice.help for choice in choices)
    return text[0].upper() + text[1:]


def test_the_kinds_of_shells_designs_and_settings_are_the_same():
    designs, settings = ([each.kind for each in typing.get_args(union)] for union in (Design, Settings))
    assert designs == settings
    assert {kind for shell in SHELLS.values() for kind in shell.kinds} == set(designs)


def test_every_wrapper_is_a_shell_s_and_goes_around_streams():
    wrapped = {name: shell.wrapper for name, shell in SHELLS.items() if shell.wrapper}
    assert set(wrapped.values()) == set(typing.get_args(Wrapper))
    assert all(wrapper.suffix == name and SHELLS[name].streams for name, wrapper in wrapped.items())


@pytest.mark.parametrize("name", SHELLS)
def test_the_interface_of_a_shell_says_its_streams_and_its_wrapper_and_its_verilog_is_there(name):
    interface = describe(make_design(random_network(1), shell=name))
    assert interface.has_streams == SHELLS[name].streams
    files = wrap(interface)
    assert (f"dwn_{name}.v" in files) == (interface.wrapper is not None) == (SHELLS[name].wrapper is not None)
    if interface.wrapper:
        assert interface.wrapper.top == f"dwn_{name}"


@pytest.mark.parametrize("name", SHELLS)
def test_the_ports_that_are_said_of_a_shell_are_those_of_its_verilog(name):
    interface = describe(make_design(random_network(1), shell=name))
    seen = outside.seen(interface)
    said = {port for port, *_ in seen.ports}
    if interface.wrapper:
        text = wrap(interface)[f"{seen.top}.v"]
        found = re.findall(r"^    (in|out)put +wire +(?:\[(\d+):0\] +)?(\w+)", text, re.M)
        assert [(port, way, int(high or 0) + 1) for way, high, port in found] == [port[:3] for port in seen.ports]
    assert {seen.clock, seen.reset} - {None} <= said
    if isinstance(seen.speaks, outside.Streams):
        assert {seen.speaks.x.data, seen.speaks.y.data} <= said


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", SHELLS)
def test_an_export_can_be_had_where_the_tables_say_so(name, encoder):
    asked = Request(Options(shell=name, encoder=encoder), TRAINED)
    if SHELLS[name].takes(encoder):
        check(asked)
        assert make_design(random_network(1), shell=name, encoder=encoder).shell == name
    else:
        with pytest.raises(OptionError, match="--shell"):
            check(asked)


@pytest.mark.parametrize("name", SHELLS)
def test_a_folded_engine_has_the_shells_that_the_table_says(name):
    asked = Request(Options(shell=name), LiveModel(None, "a module"), folded=True)
    if "folded" in SHELLS[name].kinds:
        check(asked)
    else:
        with pytest.raises(OptionError, match="--shell: stream"):
            check(asked)


def test_the_help_of_a_shell_and_of_an_encoder_is_their_own():
    text = " ".join(CliRunner().invoke(main.main, ["export", "--help"], terminal_width=200).stdout.split())
    assert f"--shell [{'|'.join(SHELLS)}] {said(SHELLS.values(), ', ')}. [default: {shell_facts.DEFAULT}]" in text
    assert f"--encoder [{'|'.join(ENCODERS)}] {said(ENCODERS.values(), ', or ')}. [default: {encoders.DEFAULT}]" in text
