"""Forward and gradients of a layer of look-up tables by their definition, in loops and float64."""

from __future__ import annotations

import numpy as np


def naive_address(x, wires):
    return sum(2**slot for slot, wire in enumerate(wires) if x[wire] > 0)


def naive_slope(table, address, slot, alpha, beta):
    total = 0.0
    for other, entry in enumerate(table):
        distance = bin((address ^ other) & ~(1 << slot)).count("1")
        total += entry * alpha * beta**distance * (1 if other >> slot & 1 else -1)
    return total


def naive_gradients(x, mapping, tables, grad, alpha, beta):
    x_grad, table_grad = np.zeros_like(x), np.zeros_like(tables)
    for sample in range(len(x)):
        for lut, wires in enumerate(mapping):
            address = naive_address(x[sample], wires)
            table_grad[lut, address] += grad[sample, lut]
            for slot, wire in enumerate(wires):
                slope = naive_slope(tables[lut], address, slot, alpha, beta)
                x_grad[sample, wire] += grad[sample, lut] * slope
    return x_grad, table_grad


def naive_choice(weights, candidates):
    """The wire of each slot: that of the largest weight, the first of equals. ``candidates`` None: a weight's row."""
    rows = [int(np.argmax(weights[:, slot])) for slot in range(weights.shape[1])]
    return np.array([row if candidates is None else candidates[row, slot] for slot, row in enumerate(rows)])


def naive_mapping_gradients(x, slot_grad, weights, candidates, tau):
    """The gradients of a learned mapping's inputs and weights, given those of what its slots read (samples, slots)."""
    x_grad, weights_grad = np.zeros_like(x), np.zeros_like(weights)
    for slot in range(weights.shape[1]):
        share = np.exp((weights[:, slot] - weights[:, slot].max()) / tau)
        share /= share.sum()
        for row in range(len(weights)):
            wire = row if candidates is None else candidates[row, slot]
            x_grad[:, wire] += share[row] * slot_grad[:, slot]
            weights_grad[row, slot] = ((2 * x[:, wire] - 1) * slot_grad[:, slot]).sum()
    return x_grad, weights_grad
