"""Compiled training: forward and gradients by definition, for every mapping, size and dtype; and Adam in tiles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from groups import swept
from lut_gradients import naive_address, naive_choice, naive_gradients, naive_mapping_gradients
from torch import nn

from dwn_hw import _assets
from dwn_hw.errors import OptionError
from dwn_hw.nn import GroupSum, LUTLayer, kernels, renewal
from dwn_hw.nn.adam import Adam
from dwn_hw.nn.compiled_luts import CompiledLUTFunction
from dwn_hw.nn.training import fit, step

pytest.importorskip("numba")

MAPPINGS = ["random", "learnable", "candidates"]


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    """Kernels for work of any size."""
    monkeypatch.setenv(_assets.VARIABLE, "numba")
    monkeypatch.setattr(kernels, "_WORTH", 0)
    monkeypatch.setattr(kernels, "_LEAST", 64)
    torch.manual_seed(7)


def layer_of(n, mapping, inputs=21, luts=10, **more):
    if mapping == "candidates":
        return LUTLayer(inputs, luts, n, mapping="learnable", candidates=9, **more)
    return LUTLayer(inputs, luts, n, mapping=mapping, **more)


def by_definition(layer, x, grad):
    """The output, and the gradients of input, tables and weights."""
    x, grad, tables = (np.asarray(value, np.float64) for value in (x, grad, layer.luts.detach()))
    count, n = len(tables), layer.n
    weights = candidates = None
    if isinstance(layer.mapping, nn.Parameter):
        wires = layer.mapping.numpy().reshape(-1)
    else:
        weights = layer.mapping.weights.detach().double().numpy()
        candidates = getattr(layer.mapping, "candidates", None)
        wires = naive_choice(weights, None if candidates is None else candidates.numpy())
    out = [[row[naive_address(s, w)] for row, w in zip(tables, wires.reshape(count, n), strict=True)] for s in x]
    out = np.array(out).reshape(len(x), count)
    slots = np.arange(count * n).reshape(count, n)
    slot_grad, table_grad = naive_gradients(x[:, wires], slots, tables, grad, layer.alpha, layer.beta)
    if weights is None:
        x_grad = np.zeros_like(x)
        for slot, wire in enumerate(wires):
            x_grad[:, wire] += slot_grad[:, slot]
        return out, x_grad, table_grad, None
    own = None if candidates is None else candidates.numpy()
    x_grad, weights_grad = naive_mapping_gradients(x, slot_grad, weights, own, layer.mapping.tau)
    return out, x_grad, table_grad, weights_grad


def check(layer, x, grad):
    """Forward exactly, gradients to the rounding of float32's sums."""
    kept = x.clone().requires_grad_() if x.is_floating_point() else x
    found = layer(kept)
    if found.grad_fn.name() != "CompiledLUTFunctionBackward":
        pytest.fail("not compiled")
    found.backward(grad)
    out, x_grad, table_grad, weights_grad = by_definition(layer, x, grad)
    np.testing.assert_array_equal(found.detach().numpy(), out > 0 if layer.ste else out.astype(np.float32))
    close = {"rtol": 1e-4, "atol": 1e-5 * float(grad.abs().max()) * len(x)}
    if x.is_floating_point():
        np.testing.assert_allclose(kept.grad.numpy(), x_grad, **close)
    np.testing.assert_allclose(layer.luts.grad.numpy(), table_grad, **close)
    if weights_grad is not None:
        np.testing.assert_allclose(layer.mapping.weights.grad.numpy(), weights_grad, **close)


@pytest.mark.parametrize("n", [1, 2, 6, *swept(3, 4, 5, 7, 8)])
@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("batch", [1, *swept(2, 33)])
def test_output_and_gradients_are_those_of_the_definition(n, mapping, batch):
    layer = layer_of(n, mapping, ste=batch != 2)
    check(layer, (torch.rand(batch, 21) > 0.4).float(), torch.randn(batch, 10))


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, *swept(torch.float32)])
def test_bits_of_any_dtype_and_numbers_that_are_no_bits_give_the_gradients_of_the_definition(mapping, dtype):
    layer = layer_of(3, mapping, ste=False)
    x = torch.randn(12, 21) if dtype == torch.float32 else (torch.rand(12, 21) > 0.4).to(dtype)
    check(layer, x, torch.randn(12, 10))
    layer.luts.grad = None
    wide = torch.randn(21, 12).t()  # as a layer before hands it on
    if mapping != "random":
        layer.mapping.weights.grad = None
    check(layer, wide, torch.randn(12, 10))


@pytest.mark.parametrize("tau", [0.3, *swept(0.02, 1e-6)])
@pytest.mark.parametrize("mapping", ["learnable", "candidates"])
def test_a_learned_mapping_spreads_the_gradient_of_its_input_by_the_softmax(mapping, tau):
    check(layer_of(4, mapping, lm_tau=tau), (torch.rand(9, 21) > 0.5).float(), torch.randn(9, 10))


@pytest.mark.parametrize("rates", [(1.0, 0.5), *swept(((0.3, 0.0),), ((-0.2, 1.5),), ((0.5, -0.4),), ((0.5, 0.9),))])
def test_slopes_are_those_of_the_definition_for_other_rates(rates):
    layer = LUTLayer(21, 10, 5, alpha=rates[0], beta=rates[1])
    check(layer, (torch.rand(9, 21) > 0.5).float(), torch.randn(9, 10))


@pytest.mark.parametrize("beta", [1.0, 0.97])
def test_a_decay_near_one_is_left_to_torch(beta):
    assert "Compiled" not in LUTLayer(8, 4, 2, beta=beta)((torch.rand(3, 8) > 0.5).float()).grad_fn.name()


def test_the_first_of_equal_weights_is_chosen():
    layer = layer_of(2, "learnable")
    layer.mapping.weights.data.fill_(0.5)
    layer.mapping.weights.data[7:9] = 0.75
    assert (layer.mapping.wires() == 7).all()


def test_wires_out_of_range_are_refused_and_not_read():
    layer = layer_of(2, "random")
    layer.mapping.data[3, 1] = 21
    with pytest.raises(OptionError, match=r"wires in 0..20; got 0..21"):
        layer((torch.rand(4, 21) > 0.5).float())
    layer = layer_of(2, "candidates")
    state = layer.state_dict()
    state["mapping.candidates"][0, 0] = -1
    with pytest.raises(OptionError, match=r"candidates of a mapping: inputs in 0..20; got -1"):
        layer_of(2, "candidates").load_state_dict(state)


def trained(threads, mapping, epochs=1):
    """The parameters after some steps of a network whose first layer has a wide mapping."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.manual_seed(5)
        x, y = (torch.rand(96, 300) > 0.5).float(), torch.randint(0, 10, (96,))
        more = {"candidates": 9} if mapping == "candidates" else {}
        kind = "random" if mapping == "random" else "learnable"
        first = LUTLayer(300, 150, n=6, mapping=kind, **more)
        model = nn.Sequential(first, LUTLayer(150, 40, n=4, mapping=kind, **more), GroupSum(10, tau=2))
        fit(model, x, y, epochs=epochs, batch_size=32)
        return model.state_dict()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_one_thread_and_two_train_the_same_network(mapping):
    one, two = trained(1, mapping), trained(2, mapping)
    for name, values in one.items():
        assert (values == two[name]).all(), name


def wide_model():
    torch.manual_seed(11)
    return nn.Sequential(LUTLayer(400, 130, n=6, mapping="learnable"), LUTLayer(130, 40, n=4), GroupSum(10, tau=2))


def test_a_step_in_tiles_is_adams_and_its_state_is_torchs():
    ours, plain = wide_model(), wide_model()
    assert ours[0].mapping.weights.numel() >= 1 << 18
    one = Adam(ours, lr=1e-2)
    other = torch.optim.Adam([p for p in plain.parameters() if p.requires_grad], lr=1e-2)
    x, y = (torch.rand(64, 400) > 0.5).float(), torch.randint(0, 10, (64,))
    for first in (0, 16, 32):
        step(ours, one, x[first : first + 16], y[first : first + 16])
        assert ours[0].mapping.weights.grad is None
        step(plain, other, x[first : first + 16], y[first : first + 16])
        if first == 16:  # the state goes to the other one and back
            kept = one.state_dict()
            one.load_state_dict(other.state_dict())
            other.load_state_dict(kept)
    for name, values in ours.state_dict().items():
        torch.testing.assert_close(values, plain.state_dict()[name], rtol=1e-4, atol=1e-6, msg=name)


def test_gradients_are_tensors_again_outside_of_a_step_and_two_backward_passes_add_up():
    model, plain = wide_model(), wide_model()
    optimizer = Adam(model, lr=1e-2)
    other = torch.optim.Adam([p for p in plain.parameters() if p.requires_grad], lr=1e-2)
    x = (torch.rand(32, 400) > 0.5).float()
    model(x).sum().backward()
    assert model[0].mapping.weights.grad is not None
    optimizer.zero_grad()
    with optimizer.collecting():
        model(x[:16]).pow(2).sum().backward()
        model(x[16:]).pow(2).sum().backward()
    assert model[0].mapping.weights.grad is None
    optimizer.step()
    plain(x[:16]).pow(2).sum().backward()
    plain(x[16:]).pow(2).sum().backward()
    other.step()
    torch.testing.assert_close(model[0].mapping.weights, plain[0].mapping.weights, rtol=1e-4, atol=1e-6)
    assert model[0].mapping.factors is None
    optimizer.zero_grad()
    model(x[:16]).pow(2).sum().backward()  # one outside, one inside, one step
    with optimizer.collecting():
        model(x[16:]).pow(2).sum().backward()
    optimizer.step()
    other.zero_grad()
    plain(x).pow(2).sum().backward()
    other.step()
    torch.testing.assert_close(model[0].mapping.weights, plain[0].mapping.weights, rtol=1e-3, atol=1e-5)
    model(x).sum().backward()
    assert model[0].mapping.weights.grad is not None


def test_a_layer_trains_in_torch_alone_to_the_same_numbers_nearly(monkeypatch):
    one = trained(2, "candidates", epochs=2)
    monkeypatch.setenv(_assets.VARIABLE, "torch")
    other = trained(2, "candidates", epochs=2)
    for name in ("0.mapping.weights", "0.luts", "1.luts"):
        # A sum that rounds otherwise may turn a sign of Adam's first steps, so that a few weights part by a step or two.
        far = ((one[name] - other[name]).abs() > 1e-3).double().mean()
        assert far < 0.02, name


def test_the_kernels_are_one_step_of_autograd_and_give_what_torch_gives_without_them(monkeypatch):
    layer = LUTLayer(50, 30, 6)
    x, grad = (torch.rand(40, 50) > 0.5).float(), torch.randn(40, 30)
    one, two = x.clone().requires_grad_(), x.clone().requires_grad_()
    assert layer(one).grad_fn.name() == f"{CompiledLUTFunction.__name__}Backward"
    layer(one).backward(grad)
    tables, layer.luts.grad = layer.luts.grad, None
    monkeypatch.setenv(_assets.VARIABLE, "torch")
    layer(two).backward(grad)
    torch.testing.assert_close(one.grad, two.grad)
    torch.testing.assert_close(tables, layer.luts.grad)


def test_candidates_are_renewed_by_the_steepest_inputs_of_the_whole_gradient():
    torch.manual_seed(3)
    layer = layer_of(3, "candidates", inputs=40)
    model = nn.Sequential(layer, GroupSum(5))
    optimizer = Adam(model, lr=1e-2)
    x, y = (torch.rand(64, 40) > 0.5).float(), torch.randint(0, 5, (64,))
    step(model, optimizer, x, y)
    mapping, old = layer.mapping, layer.mapping.candidates.clone()
    weights, chosen = mapping.weights.detach().clone(), mapping.wires()
    # The same network with all inputs as candidates, of which those that were none are never chosen.
    full = LUTLayer(40, 10, 3, mapping="learnable")
    with torch.no_grad():
        full.mapping.weights.fill_(-1).scatter_(0, old.long(), weights)
        full.luts.copy_(layer.luts)
    nn.functional.cross_entropy(GroupSum(5)(full(x)), y).backward()
    renewal.renew(model, optimizer, x, y)
    new = mapping.candidates
    for slot in range(30):
        left, came = set(old[:, slot].tolist()), set(new[:, slot].tolist())
        assert len(came) == 9
        gradient = full.mapping.weights.grad[:, slot].clone()
        gradient[old[:, slot].long()] = torch.inf
        assert came - left == set(gradient.argsort()[:2].tolist())
        assert left - came == set(old[weights[:, slot].argsort()[:2], slot].tolist())
        fresh = [row for row in range(9) if int(new[row, slot]) not in left]
        below = weights[:, slot].max() - renewal.BELOW
        torch.testing.assert_close(mapping.weights.detach()[fresh, slot], below.expand(2))
        assert (optimizer.state[mapping.weights]["exp_avg"][fresh, slot] == 0).all()
    assert (mapping.wires() == chosen).all()
    assert mapping.weights.grad is None


@pytest.mark.sweeps
@pytest.mark.parametrize("setting", [{"NUMBA_BOUNDSCHECK": "1"}, {"PYTHONOPTIMIZE": "1"}, {"NUMBA_OPT": "0"}], ids=str)
def test_the_same_holds_under_bounds_checks_and_without_asserts_and_optimisation(tmp_path, setting):
    """In a process of its own: the kernels are compiled anew, and an index that is out of bounds is an error."""
    code = (
        "import sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]\n"
        "import torch\n"
        "from test_kernels import MAPPINGS, check, kernels, layer_of, trained\n"
        "kernels._WORTH, kernels._LEAST = 0, 64\n"
        "for mapping in MAPPINGS:\n"
        "    for n in range(1, 9):\n"
        "        for batch in (1, 2, 33):\n"
        "            bits = (torch.rand(batch, 21) > 0.4).float()\n"
        "            check(layer_of(n, mapping, ste=batch != 2), bits, torch.randn(batch, 10))\n"
        "    one, two = trained(1, mapping), trained(2, mapping)\n"
        "    if not all((one[name] == two[name]).all() for name in one): sys.exit('differs')\n"
        "print('equal')\n"
    )
    here = Path(__file__).resolve()
    env = {**os.environ, **setting, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code, str(here.parent), str(here.parents[1])]
    done = subprocess.run(
        command, cwd=here.parents[2], env=env, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.stdout == "equal\n", done.stderr[-3000:]
