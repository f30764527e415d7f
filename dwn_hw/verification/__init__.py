"""The ladder of equality: an export compared with its network in a simulator, as a netlist, as a bitstream, and proven."""

from __future__ import annotations
