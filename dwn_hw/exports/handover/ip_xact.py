"""``component.xml``: an export as a component of IP-XACT (IEEE 1685-2014), with bus interfaces where its shell is AXI4-Stream.

Elements stand in the order that the standard's schema asks for.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement

from dwn_hw.exports.handover.file_lists import Paths
from dwn_hw.exports.handover.outside import Outside, Side, Streams
from dwn_hw.hardware.interface import Interface

NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
_SCHEMA = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014/index.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

#: Arm's definition of AXI4-Stream, as vendors' catalogues hold it.
_BUS = {"vendor": "amba.com", "library": "AMBA4", "version": "r0p0_1"}


def component(interface: Interface, outside: Outside, paths: Paths) -> str:
    """The text of ``component.xml``."""
    root = Element(_tag("component"), {f"{{{_INSTANCE}}}schemaLocation": f"{NAMESPACE} {_SCHEMA}"})
    version = ".".join(map(str, interface.layout.version))
    _texts(root, vendor="dwn-hw", library="exports", name=outside.top, version=version)
    if outside.axi and isinstance(outside.speaks, Streams):
        buses = _child(root, "busInterfaces")
        _stream(buses, outside.speaks.x, "slave")
        _stream(buses, outside.speaks.y, "master")
    _model(_child(root, "model"), outside)
    sets = _child(root, "fileSets")
    _file_set(sets, "rtl", [(path, "verilogSource") for path in paths.design], paths.memories)
    bench = [(paths.bench, "systemVerilogSource"), (paths.parameters, "systemVerilogSource")]
    _file_set(sets, "simulation", [*bench, *((path, "verilogSource") for path in paths.cells)], paths.vectors)
    _file_set(sets, "constraints", [(paths.sdc, "SDC")], [paths.xdc])
    _texts(root, description=f"Network {interface.digest}, written by {interface.tool}.")
    ElementTree.register_namespace("ipxact", NAMESPACE)
    ElementTree.register_namespace("xsi", _INSTANCE)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _stream(buses: Element, side: Side, mode: str) -> None:
    """A bus interface, called as its ports begin."""
    bus = _child(buses, "busInterface")
    _texts(bus, name=side.data.rpartition("_")[0])
    SubElement(bus, _tag("busType"), _BUS | {"name": "AXI4Stream"})
    abstraction = _child(_child(bus, "abstractionTypes"), "abstractionType")
    SubElement(abstraction, _tag("abstractionRef"), _BUS | {"name": "AXI4Stream_rtl"})
    maps = _child(abstraction, "portMaps")
    for port in (side.data, side.valid, side.ready, side.last, side.void):
        if port:
            pair = _child(maps, "portMap")
            _texts(_child(pair, "logicalPort"), name=port.rpartition("_")[2].upper())
            _texts(_child(pair, "physicalPort"), name=port)
    _child(bus, mode)


def _model(model: Element, outside: Outside) -> None:
    view = _child(_child(model, "views"), "view")
    _texts(view, name="rtl", envIdentifier="verilogSource:*:", componentInstantiationRef="verilog")
    made = _child(_child(model, "instantiations"), "componentInstantiation")
    _texts(made, name="verilog", language="Verilog", moduleName=outside.top)
    if outside.parameters:
        listed = _child(made, "moduleParameters")
        for name, value in outside.parameters.items():
            _texts(SubElement(listed, _tag("moduleParameter"), {"dataType": "integer"}), name=name, value=f"{value}")
    _texts(_child(made, "fileSetRef"), localName="rtl")
    ports = _child(model, "ports")
    for name, way, bits, meaning in outside.ports:
        port = _child(ports, "port")
        _texts(port, name=name, description=meaning)
        wire = _child(port, "wire")
        _texts(wire, direction=way)
        if bits > 1:
            _texts(_child(_child(wire, "vectors"), "vector"), left=f"{bits - 1}", right="0")


def _file_set(sets: Element, name: str, sources: Iterable[tuple[str, str]], others: Iterable[str]) -> None:
    found = _child(sets, "fileSet")
    _texts(found, name=name)
    for path, kind in sources:
        file = _child(found, "file")
        _texts(file, name=path, fileType=kind)
        if path.endswith(".vh"):
            _texts(file, isIncludeFile="true")
    for path in others:
        file = _child(found, "file")
        _texts(file, name=path)
        SubElement(file, _tag("fileType"), {"user": path.rpartition(".")[2]}).text = "user"


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _child(parent: Element, name: str) -> Element:
    return SubElement(parent, _tag(name))


def _texts(parent: Element, **texts: str) -> None:
    """Children of nothing but text, in this order."""
    for name, text in texts.items():
        _child(parent, name).text = text
