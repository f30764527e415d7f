"""Compares a frozen network with its model: exactly with torch in float64, and with the module's own forward pass.

A network that classifies is compared score by score and by its classes; one that ends in numbers, by these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._json import Document
from dwn_hw.errors import DataError, Mismatch, Problem
from dwn_hw.frontend.integer_networks import activation_formats, float64_reference, folding
from dwn_hw.frontend.integer_networks.activation_formats import Chosen
from dwn_hw.frontend.integer_networks.input_stage import Front
from dwn_hw.frontend.integer_networks.trained_network import Doubles, Run, TrainedNetwork
from dwn_hw.ir import evaluate, sample_files, sample_warnings, vectors
from dwn_hw.ir.codes import Encoded, are_codes, decode
from dwn_hw.ir.emulate import Emulator

Codes = npt.NDArray[np.int64]

#: The number of random codes on which the frozen network is compared with torch; of these the oracle, which is slow, sees a few.
CHECKED_CODES, CHECKED_BY_EVALUATE = 128, 16

#: And those on which it is compared with the module's own forward, of networks with few features.
MANY_CODES, FEW_FEATURES = 2048, 256

#: The share of predictions on directed and random codes that number formats may change without a warning.
SUSPICIOUS = 0.1

#: The most samples of the user's data that are compared.
CHECKED_SAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Made:
    """A frozen ``network``, what it was made of, and how: ``trained`` is the model before its weights were rounded."""

    trained: TrainedNetwork
    model: TrainedNetwork
    front: Front
    chosen: Chosen
    network: ir.Network

    @property
    def softmax(self) -> bool:
        """Whether the module ends in softmax, of which classes alone can be compared."""
        return any(text.lower().startswith("softmax") for text in self.model.left_out)


def check(made: Made, seed: int) -> Document:
    """Check the first rung, on random codes: ``evaluate`` = torch in float64."""
    codes = _random_codes(made.network.input, CHECKED_CODES, seed)
    scores, exact = float64_reference.run(made.model, made.chosen.formats, made.front.values(made.model, codes))
    compared = equal(made.network, codes, scores, exact)
    few = codes[:CHECKED_BY_EVALUATE]
    by_oracle = evaluate.trace(made.network, few)[-2 if made.network.classifies else -1]
    if (by_oracle != _results(made.network, few)[0]).any():
        raise Mismatch("emulation: the scores of the fast emulator are not those of evaluate")
    return {"codes": len(codes), "scores": compared, "inexact": int((~exact).sum()), "reference": "torch float64"}


def own_forward(made: Made, seed: int) -> list[Document]:
    """What became of the model, on directed and random codes: the network beside the module's own forward pass.

    First, where weights were rounded, of the module with these; then of the module as it was given. Two scores are the same where
    the module's, in its own arithmetic, is the network's; a softmax at its end changes no class.
    """
    network = made.network
    count = CHECKED_CODES if network.input.edge.size > FEW_FEATURES else MANY_CODES
    directed = vectors.make(network, random=0, seed=seed, searched=0).codes
    codes = np.concatenate([_random_codes(network.input, count, seed), directed])
    x = made.front.own(made.model, codes).astype(np.float32)
    weights = folding.module_weights(made.model, made.trained, made.chosen.formats)
    runs = [("rounded", made.model.rounded(weights))] if weights else []
    return [_beside(made, run, name, codes, x) for name, run in (*runs, ("trained", made.model.original))]


def warnings(found: list[Document]) -> list[str]:
    """What a user must not overlook of :func:`own_forward`: a network that is hardly the module with its own weights."""
    told = []
    for row in found:
        changed: Any = row.get("predictions_changed", 0)
        codes: Any = row["codes"]
        if row["weights"] == "rounded" and changed > SUSPICIOUS * codes:
            told.append(
                f"{changed} of {codes} predictions are not those of the module with the rounded weights: number formats between "
                "layers cost that; give samples, --data, or more bits, --activations"
            )
    return told


def _beside(made: Made, run: Run, weights: str, codes: Codes, x: npt.NDArray[np.float32]) -> Document:
    original = run(x)
    scores, y = _results(made.network, codes)
    flat = original.reshape(len(original), -1)
    good = np.isfinite(flat).all(axis=1)
    found: Document = {"weights": weights, "codes": int(good.sum()), "softmax": made.softmax}
    found |= _differences(made, scores[good], y[good], original[good])
    return found


def _differences(made: Made, scores: Codes, y: Codes, original: Doubles) -> dict[str, int | float]:
    """How far what the network gives is from what the module gives."""
    step = 2.0 ** made.network.scores_edge.formats[0].lsb
    real = np.asarray(scores * step / made.model.divisor, np.float64)
    if not made.network.classifies:
        apart = np.abs(real - original)
        return {
            "numbers_changed": int((apart > step / 2).sum()),  # by more than the rounding to their grid
            "numbers": int(apart.size),
            "largest_difference": float(apart.max(initial=0.0)),
            "mean_square_difference": float((apart**2).mean()) if apart.size else 0.0,
        }
    apart = np.abs(_below_best(real) - _below_best(original))
    return {
        "predictions_changed": int((y != original.argmax(axis=1)).sum()),
        "largest_score_difference": float(apart.max(initial=0.0)),
    }


def _results(network: ir.Network, codes: Codes) -> tuple[Codes, Codes]:
    """What is compared of a network: its scores and classes; of one that ends in numbers, these, twice."""
    before, after = Emulator(network).run(codes)
    return (before if network.classifies else after), after


def _random_codes(port: ir.Input, count: int, seed: int) -> Codes:
    """The codes 0, the extremes, and random ones, in some samples all small: wide ports have codes whose sums no double holds."""
    rng = np.random.default_rng(seed)
    fmt = port.formats[0]
    codes = rng.integers(fmt.low, fmt.high + 1, (count, *port.shape))
    codes >>= rng.integers(0, max(1, fmt.bits - 4), (count, *[1] * len(port.shape)))
    codes[0], codes[1], codes[2] = 0, fmt.low, fmt.high
    return codes


def equal(network: ir.Network, codes: Codes, scores: Doubles, exact: npt.NDArray[np.bool_]) -> int:
    """The number of scores of ``network`` that equal those of the reference, where that is exact. Raises Mismatch with the
    first that does not.
    """
    got = _results(network, codes)[0].reshape(len(codes), -1)
    wanted = scores.reshape(got.shape) * 2.0 ** -network.scores_edge.formats[0].lsb
    different = np.argwhere((got != wanted) & exact[:, None])
    if len(different):
        sample, unit = (int(i) for i in different[0])
        raise Mismatch(
            f"score {unit} of sample {sample}: torch in float64 gives {wanted[sample, unit]:.0f}, the frozen network "
            f"{got[sample, unit]} ({len(different)} of {got.size} differ)"
        )
    return int(exact.sum()) * int(got.shape[1])


def on_data(made: Made, samples: sample_files.Samples, encoded: Encoded) -> Document:
    """Check on the user's data that the network equals the reference, and what number formats cost against the model as given."""
    model, network, formats, codes = made.model, made.network, made.chosen.formats, encoded.codes
    saturation = activation_formats.Saturation(formats)
    first = codes[:CHECKED_SAMPLES]
    given = _given(made, samples, codes)
    if made.chosen.origin == "stated":
        # The numbers themselves are watched: a port that carries activations has saturated its codes already.
        asked = activation_formats.Saturation(formats)
        numbers = codes if made.front.folded else given
        float64_reference.run(model, formats, numbers[:CHECKED_SAMPLES].astype(np.float64), asked.watch)
        asked.refuse(model, samples.name)
    scores, exact = float64_reference.run(model, formats, made.front.values(model, first), saturation.watch)
    equal(network, first, scores, exact)
    own, y = _results(network, codes)
    original = model.original(given.astype(np.float32))
    apart = _differences(made, own, y, original)
    largest = apart.pop("largest_score_difference", None)
    found: Document = {
        "samples": len(samples),
        **sample_warnings.moved(network, encoded),
        "activations_saturated": sum(saturation.counts),
        "equal_to_reference": int(exact.sum()),
        **apart,
    }
    if largest is not None and not made.softmax:
        found["largest_score_difference"] = round(largest, 6)
    if samples.y is not None and network.classifies:
        found["accuracy"] = round(float((samples.y == y).mean()), 6)
        found["float_accuracy"] = round(float((samples.y == original.argmax(axis=1)).mean()), 6)
    return found


def _below_best(scores: Doubles) -> Doubles:
    """The scores less the best of their sample: these differences a log_softmax leaves as they are."""
    return np.asarray(scores - scores.max(axis=1, keepdims=True))


def _given(made: Made, samples: sample_files.Samples, codes: Codes) -> Doubles:
    """What the model as it was given receives: the user's own numbers, normalised in float32."""
    entry, scaler = made.front, made.model.scaler
    of_port = samples.x is None or are_codes(entry.port, samples.x)
    if samples.x is None or of_port:
        real = decode(entry.port, codes.reshape(len(codes), -1), np.dtype(np.float32))
    else:
        real = samples.x.reshape(len(samples), -1).astype(np.float32)
    if scaler is not None and (entry.scaled or not of_port):
        real = scaler.apply(real)
    if not np.isfinite(real).all():
        raise DataError(Problem(samples.name, "finite numbers", "NaN or infinity", "Remove those samples."))
    return np.asarray(real, np.float64).reshape(codes.shape)
