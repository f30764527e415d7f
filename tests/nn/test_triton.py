"""Triton's kernels, run by its interpreter on a CPU, give what loops over the definition give; they compile without a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from groups import swept

from dwn_hw import _assets
from dwn_hw.errors import OptionError
from dwn_hw.nn import triton_kernels, triton_planes

interpreter = pytest.importorskip("triton.runtime.interpreter")

ALL_N = (6, *swept(1, 2, 3, 4, 5, 7, 8))


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch, request):
    """tests/conftest.py has said so before Triton was imported."""
    if not _assets.interprets_triton():
        pytest.skip("TRITON_INTERPRET is off: kernels would be compiled")
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if parameters.get("dtype") == torch.bfloat16 and not hasattr(interpreter.InterpreterBuilder, "get_bf16"):
        pytest.skip("this Triton's interpreter has no constants of bfloat16 (3.9's has)")
    monkeypatch.setenv(_assets.VARIABLE, "triton")


def numbers(tensor):
    return tensor.detach().to(torch.float64).numpy()


def tolerance(dtype):
    """What a result may differ by from that in float64, relative and absolute."""
    return {torch.float64: 1e-12, torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}[dtype]


def close(found, wanted, dtype):
    assert found.dtype == dtype
    limit = tolerance(dtype) * max(1.0, np.abs(wanted).max(initial=0))
    np.testing.assert_allclose(numbers(found), wanted, rtol=0, atol=limit)


def addresses_of(x, wires):
    """By definition: (samples, luts)."""
    found = np.zeros((len(x), len(wires)), np.int64)
    for b in range(len(x)):
        for j, row in enumerate(wires):
            found[b, j] = sum(1 << place for place, wire in enumerate(row) if x[b, wire] > 0)
    return found


def slope_of(table, address, place, alpha, beta):
    """The sum over all addresses that the docstring of lut_layer.py states."""
    total = 0.0
    for other in range(len(table)):
        distance = bin((other ^ address) & ~(1 << place)).count("1")
        total += table[other] * alpha * beta**distance * (1 if other >> place & 1 else -1)
    return total


def layer(n, samples, inputs, luts, dtype, seed=0):
    """Inputs, wires with duplicates (and, where there are enough inputs, an unused one), tables and gradients."""
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.integers(0, 2, (samples, inputs)).astype(float)).to(dtype)
    wires = rng.integers(0, max(1, inputs - 1), (luts, n)).astype(np.int32)
    wires[0] = wires[0, 0]
    tables, grads = (torch.from_numpy(rng.normal(size=shape)).to(dtype) for shape in ((luts, 1 << n), (samples, luts)))
    return x, torch.from_numpy(wires), tables, grads


def transposed(wires, inputs):
    """Where each input is read: the slots of input ``i`` are ``places[firsts[i]:firsts[i + 1]]``."""
    slots = [[at for at, wire in enumerate(wires.flatten().tolist()) if wire == i] for i in range(inputs)]
    firsts = torch.tensor(np.cumsum([0, *map(len, slots)]))
    return firsts, torch.tensor([at for row in slots for at in row], dtype=torch.int64)


def hold_layer(n, samples, inputs, luts, dtype, alpha=0.3, beta=0.4):
    x, wires, tables, grads = layer(n, samples, inputs, luts, dtype, n)
    found, addresses = triton_kernels.look_up(x, wires, tables, ste=False)
    wanted = addresses_of(numbers(x), wires.tolist())
    assert (addresses.numpy() == wanted).all()
    rows = np.arange(luts)[None]
    assert (numbers(found) == numbers(tables)[rows, wanted]).all()
    bits, _ = triton_kernels.look_up(x, wires, tables, ste=True)
    assert (numbers(bits) == (numbers(tables)[rows, wanted] > 0)).all()

    g, t = numbers(grads), numbers(tables)
    of_slots, of_tables, of_inputs = np.zeros((samples, luts, n)), np.zeros_like(t), np.zeros((samples, inputs))
    slopes: dict = {}
    for b in range(samples):
        for j in range(luts):
            address = int(wanted[b, j])
            of_tables[j, address] += g[b, j]
            for place, wire in enumerate(wires[j].tolist()):
                key = (j, address, place)
                if key not in slopes:
                    slopes[key] = slope_of(t[j], address, place, alpha, beta)
                of_slots[b, j, place] = g[b, j] * slopes[key]
                of_inputs[b, wire] += of_slots[b, j, place]
    close(triton_kernels.table_gradients(tables, addresses, grads), of_tables, dtype)
    sums = torch.float64 if dtype == torch.float64 else torch.float32
    own = triton_kernels.slot_gradients(tables, addresses, grads, alpha, beta, by_slot=False)
    close(own, of_slots.reshape(samples, -1), sums)
    by_slot = triton_kernels.slot_gradients(tables, addresses, grads, alpha, beta, by_slot=True)
    assert (by_slot.t() == own).all()
    close(triton_kernels.input_gradients(by_slot, *transposed(wires, inputs), dtype=dtype), of_inputs, dtype)


@pytest.mark.parametrize("n", ALL_N)
def test_a_layer_and_its_gradients_are_those_of_the_definition(n):
    hold_layer(n, 37, 11, 5, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float64, *swept(torch.float16, torch.bfloat16)])
@pytest.mark.parametrize("n", [2, *swept(1, 3, 4, 5, 6, 7, 8)])
def test_tables_of_every_type_keep_their_precision(n, dtype):
    hold_layer(n, 9, 7, 3, dtype)


@pytest.mark.parametrize("beta", [1.0, *swept(0.0)])
def test_a_decay_of_one_or_zero_is_no_special_case(beta):
    hold_layer(3, 5, 4, 3, torch.float64, 1.0, beta)


@pytest.mark.parametrize(("samples", "inputs", "luts"), [(1, 1, 1), *swept((1, 9, 40), (65, 3, 2), (130, 300, 19))])
@pytest.mark.parametrize("n", [3, *swept(1, 6, 8)])
def test_batches_of_one_and_odd_sizes_are_whole(samples, inputs, luts, n):
    hold_layer(n, samples, inputs, luts, torch.float32)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, *swept(torch.int64, torch.float64, torch.bfloat16)])
def test_inputs_of_any_type_lie_anyhow_in_memory(dtype):
    x, wires, tables, _ = layer(4, 13, 9, 6, torch.float32)
    wanted = addresses_of(numbers(x), wires.tolist())
    given = x.to(dtype)
    for view in (given, given.t().contiguous().t(), torch.stack([given, given], 2)[:, :, 0]):
        assert (triton_kernels.look_up(view, wires, tables, True)[1].numpy() == wanted).all()


@pytest.mark.sweeps
def test_numbers_that_are_no_bits_are_ones_above_zero_and_gradients_may_lie_transposed():
    x, wires, tables, grads = layer(3, 13, 9, 6, torch.float32)
    x = torch.randn(13, 9)
    x[0] = float("nan")
    _, addresses = triton_kernels.look_up(x, wires, tables, True)
    assert (addresses.numpy() == addresses_of(numbers(x), wires.tolist())).all()
    turned = grads.t().contiguous().t()
    for work in (
        lambda g: triton_kernels.table_gradients(tables, addresses, g),
        lambda g: triton_kernels.slot_gradients(tables, addresses, g, 0.5, 0.5, False),
    ):
        assert (work(grads) == work(turned)).all()


@pytest.mark.parametrize("n", [2, *swept(1, 5, 8)])
def test_slots_own_inputs_are_looked_up_without_a_mapping(n):
    x, wires, tables, _ = layer(n, 9, 7, 5, torch.float32)
    mapped = triton_kernels.look_up(x, wires, tables, False)
    own = triton_kernels.look_up(x[:, wires.flatten().long()], None, tables, False)
    assert all((one == other).all() for one, other in zip(mapped, own, strict=True))


def mapping(rows, slots, samples, inputs, dtype, seed=0):
    rng = np.random.default_rng(seed)
    weights = torch.from_numpy(np.round(rng.random((rows, slots)), 1)).to(dtype)  # many are equal
    x = torch.from_numpy(rng.integers(0, 2, (samples, inputs)).astype(float)).to(dtype)
    return weights, x, torch.from_numpy(rng.normal(size=(samples, slots))).to(dtype)


def first_largest(column):
    """A loop; a NaN is larger than all."""
    best = 0
    for row, value in enumerate(column):
        if value > column[best] or (value != value and column[best] == column[best]):
            best = row
    return best


@pytest.mark.parametrize(("rows", "slots"), [(5, 7), (1, 1), (100, 33), *swept((2, 70), (64, 64), (333, 5))])
@pytest.mark.parametrize("dtype", [torch.float32, *swept(torch.float64, torch.bfloat16)])
def test_the_first_largest_weight_is_chosen(rows, slots, dtype):
    weights, *_ = mapping(rows, slots, 1, 1, dtype, rows)
    if rows > 4:
        weights[rows // 2, 0] = weights[rows // 2 + 1, 0] = float("nan")
        weights[:, 1] = float("-inf")
        weights[:, 2] = -1
        weights[3:, 2] = float("inf")
    wanted = [first_largest(column) for column in numbers(weights).T]
    assert wanted == weights.max(dim=0).indices.tolist()
    assert triton_kernels.choose(weights).tolist() == wanted
    candidates = torch.randint(0, 1000, weights.shape, dtype=torch.int32)
    found = triton_kernels.choose(weights, candidates)
    assert found.tolist() == [int(candidates[row, j]) for j, row in enumerate(wanted)]


def shares_of(weights, tau):
    """The softmax down each column, in float64."""
    raised = np.exp((weights - weights.max(axis=0)) / tau)
    return raised / raised.sum(axis=0)


@pytest.mark.parametrize("tau", [0.3, *swept(0.001)])
@pytest.mark.parametrize(
    ("count", "slots", "samples", "inputs"), [(4, 30, 35, 9), (1, 1, 1, 1), *swept((16, 70, 65, 40), (3, 33, 7, 4))]
)
@pytest.mark.parametrize("dtype", [torch.float32, *swept(torch.float64)])
def test_gradients_of_candidates_are_those_of_the_definition(count, slots, samples, inputs, tau, dtype):
    weights, x, grads = mapping(count, slots, samples, inputs, dtype, slots)
    rng = np.random.default_rng(1)
    chosen = np.stack([rng.permutation(inputs)[:count] for _ in range(slots)], axis=1).astype(np.int32)
    candidates, by_slot = torch.from_numpy(chosen), grads.t().contiguous()
    shares = torch.softmax(weights / tau, dim=0)
    of_weights, of_inputs, plain = (
        np.zeros((count, slots)),
        np.zeros((samples, inputs)),
        shares_of(numbers(weights), tau),
    )
    for j in range(slots):
        for c in range(count):
            for b in range(samples):
                of_weights[c, j] += (2 * float(x[b, chosen[c, j]]) - 1) * float(grads[b, j])
                of_inputs[b, chosen[c, j]] += plain[c, j] * float(grads[b, j])
    found = triton_kernels.candidate_weight_gradients(x, candidates, by_slot)
    close(found, of_weights, dtype)
    packed = triton_kernels.candidate_weight_gradients(triton_planes.pack(x), candidates, by_slot)
    close(packed, of_weights, dtype)
    close(triton_kernels.input_gradients(by_slot, *transposed(candidates, inputs), shares), of_inputs, dtype)


def test_values_that_are_no_bits_count_as_they_are():
    _, _, grads = mapping(3, 8, 5, 6, torch.float32)
    x, candidates = torch.randn(5, 6), torch.randint(0, 6, (3, 8), dtype=torch.int32)
    wanted = np.einsum("bcj,bj->cj", 2 * numbers(x)[:, candidates.numpy()] - 1, numbers(grads))
    close(triton_kernels.candidate_weight_gradients(x, candidates, grads.t()), wanted, torch.float32)


@pytest.mark.parametrize("tau", [0.3, *swept(0.001)])
@pytest.mark.parametrize(
    ("inputs", "slots", "samples"), [(70, 37, 35), (1, 1, 1), *swept((130, 65, 1), (5, 300, 100), (64, 64, 32))]
)
@pytest.mark.parametrize("dtype", [torch.float32, *swept(torch.float64, torch.bfloat16)])
def test_gradients_of_a_choice_among_all_inputs_are_those_of_the_definition(inputs, slots, samples, tau, dtype):
    weights, x, grads = mapping(inputs, slots, samples, inputs, dtype, inputs)
    x[:, 0] = 0.25
    w, signs, g = numbers(weights), 2 * numbers(x) - 1, numbers(grads)
    wanted = np.array([[sum(signs[:, i] * g[:, j]) for j in range(slots)] for i in range(inputs)])
    close(triton_kernels.weight_gradients(x, grads, dtype), wanted, dtype)
    shares = shares_of(w, tau)
    wanted = np.array([[sum(g[b] * shares[i]) for i in range(inputs)] for b in range(samples)])
    chosen = triton_kernels.choose(weights)
    close(triton_kernels.shared_input_gradients(weights, chosen, grads, tau, dtype), wanted, dtype)


def test_blocks_of_which_no_share_is_left_are_passed_over_and_a_nan_is_not():
    weights, _, grads = mapping(70, 40, 3, 1, torch.float32)
    weights[:] = 0
    weights[5] = 1
    found = triton_kernels.shared_input_gradients(weights, triton_kernels.choose(weights), grads, 0.001, torch.float32)
    assert (found[:, [i for i in range(70) if i != 5]] == 0).all()
    close(found[:, 5], numbers(grads).sum(axis=1), torch.float32)
    weights[60, 3] = float("nan")
    found = triton_kernels.shared_input_gradients(weights, triton_kernels.choose(weights), grads, 0.001, torch.float32)
    assert found.isnan().all()


@pytest.mark.parametrize("samples", [1, 33, *swept(31, 32, 63, 64, 65, 200)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, *swept(torch.bfloat16, torch.int64)])
def test_bits_are_packed_and_unpacked(samples, dtype):
    x = torch.from_numpy(np.random.default_rng(samples).integers(0, 2, (samples, 11)))
    planes = triton_planes.pack(x.to(dtype))
    assert planes.shape == (11, 2 * -(-samples // 64))
    for i in range(11):
        for b in range(samples):
            assert (int(planes[i, b // 32]) >> (b % 32)) & 1 == int(x[b, i])
    again = triton_planes.unpack(planes, samples, torch.float32)
    assert again.dtype == torch.float32
    assert (again == x).all()


@pytest.mark.parametrize("n", [6, *swept(1, 2, 3, 4, 5, 7, 8)])
def test_tables_of_every_size_are_looked_up_in_planes(n):
    x, wires, tables, _ = layer(n, 70, 9, 6, torch.float32)
    rows = torch.tensor([3, 0, 5, 1, 4, 2], dtype=torch.int32)
    planes = triton_planes.pack(x)
    out = torch.zeros(6, planes.shape[1], dtype=torch.int32)
    triton_planes.look_up(planes, wires, triton_planes.pack_tables(tables), out, rows)
    wanted = numbers(tables)[np.arange(6)[None], addresses_of(numbers(x), wires.tolist())] > 0
    assert (triton_planes.unpack(out, 70, torch.uint8).numpy()[:, rows.tolist()] == wanted).all()
    found = triton_planes.evaluate(x, wires, tables)
    assert found.dtype == torch.float32
    assert (found.numpy() == wanted).all()


@pytest.mark.sweeps
def test_the_same_numbers_come_every_time():
    x, wires, tables, grads = layer(4, 50, 7, 9, torch.float32)
    runs = []
    for _ in range(2):
        _, addresses = triton_kernels.look_up(x, wires, tables, True)
        by_slot = triton_kernels.slot_gradients(tables, addresses, grads, 0.3, 0.3, True)
        runs.append((by_slot, triton_kernels.input_gradients(by_slot, *transposed(wires, 7))))
    assert all((one == other).all() for one, other in zip(*runs, strict=True))


def test_triton_that_is_asked_for_and_cannot_run_is_refused(monkeypatch):
    cpu = torch.zeros(1)
    assert triton_kernels.takes(cpu)
    assert not triton_kernels.takes(torch.zeros(0))
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(OptionError, match="DWN_HW_KERNELS: triton on tensors of a GPU; got triton on a cpu"):
        triton_kernels.takes(cpu)
    monkeypatch.delenv(_assets.VARIABLE)
    assert not triton_kernels.takes(cpu)
    assert _assets.takes_triton("cuda")
    monkeypatch.setenv(_assets.VARIABLE, "torch")
    assert not _assets.takes_triton("cuda")
    monkeypatch.setenv(_assets.VARIABLE, "triton")
    monkeypatch.setattr(_assets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"triton to be installed; got none\. pip install 'dwn-hw\[gpu\]'"):
        triton_kernels.takes(cpu)
