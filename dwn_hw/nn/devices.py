"""Where a training runs: on a GPU where there is one, or where it is asked to."""

from __future__ import annotations

from typing import Any

import torch

from dwn_hw.errors import OptionError, Problem

#: What may be asked for: a GPU where there is one, or one of both.
DEVICES = ("auto", "cpu", "cuda")


def device_for(asked: str) -> torch.device:
    """The device that is asked for. Raises OptionError for a GPU that is not there, and says what is."""
    if asked not in DEVICES:
        raise OptionError(
            Problem("--device", f"one of {', '.join(DEVICES)}", repr(asked), "Name one, or leave it out.")
        )
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise OptionError(Problem("--device", "cuda, a GPU that torch can use", _without(), _remedy()))
    return torch.device("cuda" if there and asked != "cpu" else "cpu")


def name_of(device: torch.device) -> str:
    """``cpu``, or a GPU's name."""
    return f"cuda, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


def on_cpu(state: Any) -> Any:
    """A state, tensors in dictionaries, lists and tuples, with every tensor on the CPU: the same whatever device it was on."""
    if isinstance(state, torch.Tensor):
        return state.detach().cpu()
    if isinstance(state, dict):
        return {key: on_cpu(value) for key, value in state.items()}
    return type(state)(on_cpu(value) for value in state) if isinstance(state, list | tuple) else state


def _without() -> str:
    if not _is_built_for_gpus():
        return f"none: torch {torch.__version__} is built for CPUs alone"
    return f"none: torch {torch.__version__} finds no GPU, or no driver of one"


def _remedy() -> str:
    if not _is_built_for_gpus():
        return "Train with --device cpu, or install torch's build for your GPU (pytorch.org says which)."
    return "Train with --device cpu, or see whether nvidia-smi lists a GPU, and CUDA_VISIBLE_DEVICES leaves it visible."


def _is_built_for_gpus() -> bool:
    return torch.version.cuda is not None or torch.version.hip is not None
