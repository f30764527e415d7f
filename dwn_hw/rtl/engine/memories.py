"""The memories of an engine. For Amaranth they are its own; their Verilog is written here, as tools like to find block RAM."""

from __future__ import annotations

from amaranth.hdl import Const, MemoryData, MemoryInstance, Module
from amaranth.lib.wiring import In, Out

from dwn_hw.hardware.block_ram import Memory
from dwn_hw.ir import Ints
from dwn_hw.rtl.engine.units import Unit, bits_for


class Rom(Unit):
    """``data`` is row ``address`` of a clock before. In Verilog the rows are those of :attr:`file`, read by ``$readmemh``."""

    def __init__(self, module: str, memory: Memory, rows: Ints) -> None:
        self.memory, self.depth = memory, max(2, memory.rows)  # an address has a bit at least
        self.rows = (*rows, *(0,) * (self.depth - len(rows)))
        super().__init__(module, {"address": In(bits_for(memory.rows - 1)), "data": Out(memory.bits)})

    @property
    def file(self) -> str:
        """The name of the file with its rows."""
        return f"dwn_{self.module}.hex"

    def content(self) -> str:
        """What stands in it: a row a line."""
        digits = -(-self.memory.bits // 4)
        return "".join(f"{row:0{digits}x}\n" for row in self.rows)

    def elaborate(self, platform: object) -> Module:
        """A memory."""
        m = Module()
        content = MemoryData(shape=self.memory.bits, depth=self.depth, init=self.rows)
        m.submodules.memory = memory = MemoryInstance(data=content)
        memory.read_port(domain="sync", addr=self.address, data=self.data, en=Const(1, 1), transparent_for=())
        return m

    def verilog(self) -> str:
        """The memory's Verilog module."""
        style = 'ram_style = "block", rom_style = "block"' if self.memory.block else 'rom_style = "logic"'
        return f"""module dwn_{self.module} (
    input  wire clk,
    input  wire [{len(self.address) - 1}:0] address,
    output reg  [{self.memory.bits - 1}:0] data
);
  (* {style} *)
  reg [{self.memory.bits - 1}:0] rows [0:{self.depth - 1}];
  initial $readmemh("{self.file}", rows);
  always @(posedge clk)
    data <= rows[address];
endmodule
"""


class Ram(Unit):
    """``data`` is row ``address`` of a clock before; ``write_data`` goes to row ``write_address`` while ``write`` is high.

    A row that is read while it is written may be anything: no step reads the buffer that it writes.
    """

    def __init__(self, module: str, memory: Memory) -> None:
        self.memory, self.depth = memory, max(2, memory.rows)
        at = bits_for(memory.rows - 1)
        ports = {"write": In(1), "write_address": In(at), "write_data": In(memory.bits)}
        super().__init__(module, {**ports, "address": In(at), "data": Out(memory.bits)})

    def elaborate(self, platform: object) -> Module:
        """A memory."""
        m = Module()
        content = MemoryData(shape=self.memory.bits, depth=self.depth, init=[])
        m.submodules.memory = memory = MemoryInstance(data=content)
        memory.write_port(domain="sync", addr=self.write_address, data=self.write_data, en=self.write)
        memory.read_port(domain="sync", addr=self.address, data=self.data, en=Const(1, 1), transparent_for=())
        return m

    def verilog(self) -> str:
        """The memory's Verilog module."""
        address, data = f"[{len(self.address) - 1}:0]", f"[{self.memory.bits - 1}:0]"
        return f"""module dwn_{self.module} (
    input  wire clk,
    input  wire {address} address,
    output reg  {data} data,
    input  wire write,
    input  wire {address} write_address,
    input  wire {data} write_data
);
  (* ram_style = "block", no_rw_check *)
  reg {data} rows [0:{self.depth - 1}];
  always @(posedge clk)
    if (write) rows[write_address] <= write_data;
  always @(posedge clk)
    data <= rows[address];
endmodule
"""
