"""Shared fixtures. Tests are grouped by what they need; what is absent is skipped by name."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import numpy as np
import object_cache
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.exports import planning, writer
from dwn_hw.hardware.design import make_design

# The same examples every time, and no clock: a slow machine is not a fault.
settings.register_profile("tests", derandomize=True, database=None, deadline=None)
settings.load_profile("tests")

# Each worker has a core: threads of torch, in tests and in what they start, would wait for those of the other worker.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Kernels for GPUs run by Triton's interpreter, which has to be said before anything imports Triton: torch's optimisers do.
os.environ.setdefault("TRITON_INTERPRET", "1")

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("DWN_HW_DATA", ROOT.parent / "shared" / "data"))


def data_path(name: str) -> Path:
    """A file or folder of the real data beside the repository, or a skip that names it."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs the real data {name!r} (looked in {DATA}; set DWN_HW_DATA)")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the whole tree first: they run for a minute, and at the end one worker would wait for the other."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.parent != here)


@pytest.fixture(scope="session", autouse=True)
def _runtime_of_verilator_compiled_once(tmp_path_factory):
    """Every simulation links the same run-time library of Verilator's: most of what a small build takes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "objects"  # one for all workers
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(object_cache.FOLDER, str(folder))
        patch.setenv("OBJCACHE", shlex.join([sys.executable, "-S", object_cache.__file__]))
        yield


@pytest.fixture
def data():
    """``data(name)``: path of a piece of the real data, or a skip that names it."""
    return data_path


@pytest.fixture
def jsc(data):
    """The folder of the real torch_dwn checkpoint on JSC."""
    return data("torch_dwn-jsc")


@st.composite
def _networks(draw: st.DrawFn, *, bits: int = 12, last: str = "any") -> ir.Network:
    """A valid network; sizes are hypothesis' own, so that it shrinks them, the bulk comes from a seed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    formats = st.builds(ir.Format, st.integers(1, bits), st.booleans())
    features = draw(st.integers(1, 6))
    each = draw(st.lists(formats, min_size=features, max_size=features) if draw(st.booleans()) else formats)
    ports = tuple(each) if isinstance(each, list) else (each,)
    steps = tuple(draw(st.sampled_from(["1", "1/255", "1/4096", "3", "0.5"])) for _ in ports)
    source = ir.Input((features,), ports, steps)
    rows = []
    for fmt in source.edge.flat_formats():
        count = draw(st.integers(0, 7))
        rows.append(tuple(int(t) for t in rng.integers(fmt.low, fmt.high + 2, count)))
    if not any(rows):
        rows[0] = (ports[0].high,)
    nodes: list[ir.Node] = [ir.Thermometer(tuple(rows))]
    width = sum(map(len, rows))
    for luts in draw(st.lists(st.integers(1, 12), max_size=3)):
        sizes = rng.integers(1, 9, luts)
        wires = tuple(tuple(int(w) for w in rng.integers(0, width, size)) for size in sizes)
        tables = tuple(int.from_bytes(rng.bytes(32), "little") % (1 << (1 << int(size))) for size in sizes)
        nodes.append(ir.LutLayer(wires, tables))
        width = luts
    end = draw(st.sampled_from(["bits", "sums", "class"])) if last == "any" else last
    names: tuple[str, ...] = ()
    if end != "bits":
        groups = draw(st.integers(1, width))
        order = tuple(rng.permutation(width).tolist()) if draw(st.booleans()) else ()
        tau = draw(st.sampled_from(["1", "3.33", "0.001"]))
        vote = ir.GroupSum(groups, order, tau)
        nodes.append(_weighted(vote, width, rng) if draw(st.booleans()) else vote)
    if end == "class":
        nodes.append(ir.ArgMax())
        names = tuple(f"klasse µ{i}" for i in range(groups)) if draw(st.booleans()) else ()
    return ir.Network(source, tuple(nodes), names, (), (("source", "a test"),))


def _weighted(vote: ir.GroupSum, width: int, rng: np.random.Generator) -> ir.GroupSum:
    """As many groups, of any members, weights and biases; some of them empty."""
    sizes = tuple(rng.integers(0, 6, vote.groups).tolist())
    members = tuple(rng.integers(0, width, sum(sizes)).tolist())
    weights = tuple(rng.choice([-3, -2, -1, 1, 2, 3], sum(sizes)).tolist()) if rng.integers(0, 2) else ()
    biases = tuple(rng.integers(-4, 9, vote.groups).tolist()) if rng.integers(0, 2) else ()
    return ir.GroupSum(vote.groups, members, vote.tau, sizes, weights, biases)


@pytest.fixture(scope="session")
def networks():
    """``networks(bits=…, last=…)``: a hypothesis strategy of networks of every node, all LUT sizes, ragged."""
    return _networks


def _small_export(
    out: Path, target: str = "generic", shell: str = "stream", features: int = 4, **options: object
) -> Path:
    """The export of a network of six LUTs, which tools take seconds for."""
    bits = 2 * features
    wires = tuple((i, (i + 1) % bits, (i + 3) % bits) for i in range(6))
    layer = ir.LutLayer(wires, (0x96, 0xE8, 0x1B, 0x7E, 0x2D, 0xD4))
    nodes = (ir.Thermometer(((3, 9),) * features), layer, ir.GroupSum(3), ir.ArgMax())
    network = ir.Network(ir.Input((features,), (ir.Format(4),)), nodes)
    writer.write(planning.ExportPlan(make_design(network, target=target, shell=shell, **options), 0, {}, None), out)
    return out


@pytest.fixture(scope="session")
def small_export():
    """``small_export(folder, target, shell, features, …)``: writes one, and gives the folder back."""
    return _small_export
