"""Templates to copy: how an export's outermost module is instantiated, in Verilog and in VHDL."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dwn_hw.exports.handover.outside import Outside
from dwn_hw.hardware.interface import Interface

#: What VHDL takes for a name as it is.
_PLAIN = re.compile(r"[a-z](_?[a-z0-9])*")


def verilog(interface: Interface, outside: Outside, about: str) -> str:
    """``instance.v``: wires for all ports but clock and reset, and the instance; a piece of a module, not one."""
    own = [port for port in outside.ports if port[0] not in (outside.clock, outside.reset)]
    texts = [f"wire {_range(bits)}{name};" for name, _, bits, _ in own]
    wide = max(map(len, texts))
    wires = [
        f"{text:<{wide}}  // {'to' if way == 'in' else 'from'} it: {meaning}"
        for text, (_, way, _, meaning) in zip(texts, own, strict=True)
    ]
    given = [name for name in (outside.clock, outside.reset) if name]
    yours = f"; {' and '.join(given)} {'are' if len(given) > 1 else 'is'} yours" if given else ""
    lines = [
        *_comment("// ", interface, about),
        f"// A piece to copy into a module{yours}.",
        *wires,
        "",
        instance(outside, {name: name for name, *_ in outside.ports}, f"{outside.top}_i"),
        "",
    ]
    return "\n".join(lines)


def instance(outside: Outside, wired: Mapping[str, str], name: str, parameters: Mapping[str, str] | None = None) -> str:
    """The instance in Verilog, each port ``wired`` to an expression, with its width beside it."""
    values = parameters or {name: f"{value}" for name, value in outside.parameters.items()}
    settings = ", ".join(f".{name}({value})" for name, value in values.items())
    head = f"{outside.top} #({settings}) {name} (" if settings else f"{outside.top} {name} ("
    texts = [f".{port}({wired[port]})" for port, *_ in outside.ports]
    wide = max(map(len, texts)) + 1
    rows = [
        f"    {text + ('' if last else ','):<{wide}}  // {way:<3} {_bits(bits)}"
        for text, (_, way, bits, _), last in zip(texts, outside.ports, [*[False] * (len(texts) - 1), True], strict=True)
    ]
    return "\n".join([head, *rows, ");"])


def vhdl(interface: Interface, outside: Outside, about: str) -> str:
    """``instance.vhd``: a package with the component, as mixed-language tools bind it, and the instance to copy."""
    generics = [f"{name} : integer := {value}" for name, value in outside.parameters.items()]
    ports = [f"{name} : {way} {_type(bits)}" for name, way, bits, _ in outside.ports]
    texts = [text for *_, text in outside.ports]
    top, package = _identifier(outside.top), _identifier(f"{outside.top}_pkg")
    own = [port for port in outside.ports if port[0] not in (outside.clock, outside.reset)]
    signals = [f"signal {name} : {_type(bits)};" for name, _, bits, _ in own]
    maps = [f"{name} => {name}" for name, *_ in outside.ports]
    settings = ", ".join(f"{name} => {value}" for name, value in outside.parameters.items())
    lines = [
        *_comment("-- ", interface, about),
        "-- The Verilog of rtl/ is what this component is bound to, in a tool that takes both languages.",
        *("library ieee;", "use ieee.std_logic_1164.all;", "", f"package {package} is"),
        f"    component {top} is",
        *(["        generic (", *_listed(generics, [""] * len(generics)), "        );"] if generics else []),
        *("        port (", *_listed(ports, texts), "        );"),
        *("    end component;", f"end package {package};", ""),
        "-- To copy: in front of the architecture, between its `is` and `begin`, and behind that.",
        *(f"-- use work.{package}.all;", "--", *(f"-- {signal}" for signal in signals), "--"),
        f"-- {_identifier(f'{outside.top}_i')} : {top}",
        *([f"--     generic map ({settings})"] if settings else []),
        *("--     port map (", *(f"--         {text}" for text in _separated(maps, ",")), "--     );", ""),
    ]
    return "\n".join(lines)


def _comment(mark: str, interface: Interface, about: str) -> list[str]:
    timing = f"{mark}{about}"
    return [f"{mark}Written by {interface.tool}; network digest {interface.digest}.", timing.rstrip()]


def _range(bits: int) -> str:
    return f"[{bits - 1}:0] " if bits > 1 else ""


def _bits(bits: int) -> str:
    return "1 bit" if bits == 1 else f"{bits} bits, [{bits - 1}:0]"


def _type(bits: int) -> str:
    return "std_logic" if bits == 1 else f"std_logic_vector({bits - 1} downto 0)"


def _identifier(name: str) -> str:
    """A name of Verilog's in VHDL, where capitals count only between backslashes."""
    return name if _PLAIN.fullmatch(name) else f"\\{name}\\"


def _separated(texts: list[str], mark: str) -> list[str]:
    return [f"{text}{mark}" for text in texts[:-1]] + texts[-1:]


def _listed(texts: list[str], remarks: list[str]) -> list[str]:
    """Declarations in a list, with a remark each."""
    marked = _separated(texts, ";")
    wide = max(map(len, marked))
    return [
        f"            {text:<{wide}}  -- {remark}" if remark else f"            {text}"
        for text, remark in zip(marked, remarks, strict=True)
    ]
