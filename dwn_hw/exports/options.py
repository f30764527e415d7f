"""What a user may ask of an export, and what goes with what: for DWNs, networks of integers and folded engines alike.

:data:`RULES` is the one table. What depends on the frozen network (the latencies that it can have, the clock that can be met,
the lanes that are of use) is found where that is known, and said in the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from dwn_hw.errors import DataError, OptionError, Problem
from dwn_hw.frontend.calibration import port_search
from dwn_hw.frontend.integer_networks.trained_network import LiveModel
from dwn_hw.frontend.trained_dwn import TrainedDwn
from dwn_hw.hardware import encoders, naming, shell_facts
from dwn_hw.hardware.encoders import ENCODERS
from dwn_hw.hardware.families import TARGETS
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.hardware.shell_facts import SHELLS
from dwn_hw.ir.sample_files import Samples


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may ask of an export; the command line's options, one for one.

    ``target``: None for that of ``family``, the one that a board takes best, else ``generic``.
    """

    input_format: str | None = None
    normalize: str | None = None
    input_shape: str | None = None
    use_scaler: bool = True
    shell: str = shell_facts.DEFAULT
    latency: int | None = None
    clock_mhz: float | None = None
    scores: bool = False
    target: str | None = None
    family: str | None = None
    optimize: bool = True
    encoder: str = encoders.DEFAULT
    seed: int = 0
    calibrate: Samples | None = None
    max_drop: float | None = None
    activations: str | None = None
    weights: str | None = None
    lanes: int | None = None
    name: str = naming.DEFAULT
    strict: bool = False
    deterministic: bool = False
    numbers: bool = False

    @property
    def cells(self) -> str:
        """Whose cells the Verilog may instantiate, or ``generic``."""
        return self.target or self.family or "generic"


@dataclass(frozen=True, slots=True)
class Request:
    """``options`` asked of a ``model``; ``folded``: whether its hardware is known to be a folded engine."""

    options: Options
    model: TrainedDwn | LiveModel
    folded: bool = False

    @property
    def counts(self) -> bool:
        """Whether the model is a network that counts in integers."""
        return isinstance(self.model, LiveModel)

    @property
    def scaler(self) -> str | None:
        """The kind of scaler that the model was saved with."""
        return self.model.scaler.kind if self.model.scaler else None


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of an ``option``; ``got`` gives what breaks it, in words, or None where nothing does."""

    option: str
    rule: str
    got: Callable[[Request], str | None]
    remedy: str


def _one_of(name: str, known: Collection[str | None]) -> Rule:
    def got(request: Request) -> str | None:
        value = getattr(request.options, name)
        return None if value in known else repr(value)

    return Rule(f"--{name}", f"one of {', '.join(filter(None, known))}", got, "Choose one of them.")


def _where(text: str, broken: Callable[[Request, Options], Any]) -> Callable[[Request], str | None]:
    """``text``, a format of the options by name, where ``broken`` says so."""

    def got(request: Request) -> str | None:
        options = request.options
        values = {name: getattr(options, name) for name in Options.__dataclass_fields__}
        return text.format(**values, scaler=request.scaler) if broken(request, options) else None

    return got


def _not_folded(option: str, name: str, *defaults: object) -> Rule:
    """An option that the schedule of a folded engine leaves no choice for."""
    rule = "not with the folded engine, whose schedule the lanes decide"
    broken = _where(f"{{{name}}}", lambda request, options: request.folded and getattr(options, name) not in defaults)
    return Rule(option, rule, broken, "Leave it out.")


def _any_of(names: Sequence[str]) -> str:
    """``stream, uart or axis``."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


#: The shells that a streamed encoder may have, and those that a folded engine may have.
STREAMING = [name for name, shell in SHELLS.items() if shell.takes(encoders.STREAMED)]
FOLDED = [name for name, shell in SHELLS.items() if FoldedDesign.kind in shell.kinds]

_LEAVE_OUT, _LEAVE_ONE = "Leave it out.", "Leave one of them out."

#: In the order in which they are said.
RULES: tuple[Rule, ...] = (
    _one_of("shell", SHELLS),
    _one_of("target", (None, *TARGETS)),
    _one_of("encoder", ENCODERS),
    Rule(
        "--latency",
        "not with --clock-mhz",
        _where("both", lambda _, o: o.latency is not None and o.clock_mhz is not None),
        _LEAVE_ONE,
    ),
    Rule(
        "--clock-mhz",
        "a number above 0",
        _where("{clock_mhz:g}", lambda _, o: o.clock_mhz is not None and not o.clock_mhz > 0),
        "State a clock in MHz.",
    ),
    Rule(
        "--shell",
        f"with --encoder streamed {_any_of(STREAMING)}, whose reset says where a sample begins",
        _where(
            "{shell}", lambda _, o: o.encoder == encoders.STREAMED and o.shell in SHELLS and o.shell not in STREAMING
        ),
        _LEAVE_ONE,
    ),
    _not_folded("--latency", "latency", None),
    _not_folded("--clock-mhz", "clock_mhz", None),
    _not_folded("--target", "target", None, "generic"),
    _not_folded("--encoder", "encoder", encoders.DEFAULT),
    Rule(
        "--shell",
        f"{_any_of(FOLDED)}: a sample takes many clocks, and its result waits",
        _where("{shell!r}", lambda r, o: r.folded and o.shell in SHELLS and o.shell not in FOLDED),
        f"Use the {_any_of(FOLDED)} shell.",
    ),
    Rule(
        "--lanes",
        "only for a network that counts in integers",
        _where("{lanes}, for look-up tables", lambda r, o: not r.counts and o.lanes is not None),
        _LEAVE_OUT,
    ),
    Rule(
        "--no-scaler",
        "only for a model that was saved with a scaler",
        _where("a network of integers", lambda r, o: r.counts and not o.use_scaler),
        "Leave it out; without --normalize nothing is scaled.",
    ),
    Rule(
        "--activations",
        "only for a network that counts in integers",
        _where("{activations}", lambda r, o: not r.counts and o.activations is not None),
        "Leave it out: the bits between layers are no numbers.",
    ),
    Rule(
        "--weights",
        "only for a network that counts in integers",
        _where("{weights}", lambda r, o: not r.counts and o.weights is not None),
        "Leave it out: look-up tables have no weights.",
    ),
    Rule(
        "--deterministic",
        "only for a network that counts in integers",
        _where("look-up tables", lambda r, o: not r.counts and o.deterministic),
        "Leave it out: nothing is random in look-up tables.",
    ),
    Rule(
        "--numbers",
        "only for a network that counts in integers",
        _where("look-up tables", lambda r, o: not r.counts and o.numbers),
        "Leave it out: a vote gives a class; --scores puts its sums on a port.",
    ),
    Rule(
        "--input-shape",
        "only with --normalize",
        _where(
            "{input_shape!r} alone", lambda r, o: not r.counts and o.input_shape is not None and o.normalize is None
        ),
        "Add --normalize MEAN,STD, or leave it out.",
    ),
    Rule(
        "--normalize",
        "not with --no-scaler",
        _where("both", lambda r, o: not r.counts and o.normalize is not None and not o.use_scaler),
        _LEAVE_ONE,
    ),
    Rule(
        "--normalize",
        "only for a model without a scaler",
        _where("{scaler}", lambda r, o: r.scaler is not None and o.normalize is not None),
        "Leave --normalize out.",
    ),
    Rule(
        "--max-drop",
        "only with --calibrate",
        _where("{max_drop:g} alone", lambda _, o: o.max_drop is not None and o.calibrate is None),
        "Add --calibrate DATA.npz, or leave it out.",
    ),
    Rule(
        "--max-drop",
        "a part of all samples, above 0 and below 1",
        _where("{max_drop:g}", lambda _, o: o.max_drop is not None and not 0 < o.max_drop < 1),
        "Say 0.01 for one in a hundred; leave it out to keep every prediction.",
    ),
    Rule(
        "--calibrate",
        "not with --input-format",
        _where("{input_format!r} as well", lambda r, o: not r.counts and o.calibrate is not None and o.input_format),
        _LEAVE_ONE,
    ),
    Rule(
        "--calibrate",
        "not with --activations",
        _where("{activations!r} as well", lambda r, o: r.counts and o.calibrate is not None and o.activations),
        _LEAVE_ONE,
    ),
)


def check(request: Request) -> None:
    """Raise OptionError with every rule that is broken and all that is wrong with the samples; DataError for these alone.

    Of a table nothing is said before it is known what the model makes of its columns (``Samples.table`` is gone then).
    """
    options = request.options
    broken = [(rule, got) for rule in RULES if (got := rule.got(request)) is not None]
    problems = [Problem(rule.option, rule.rule, got, rule.remedy) for rule, got in broken]
    problems += naming.problems(options.name)
    data: list[Problem] = []
    if isinstance(request.model, TrainedDwn) and options.calibrate is not None and options.calibrate.table is None:
        data = port_search.data_problems(request.model, options.calibrate, options.max_drop)
    if problems:
        raise OptionError(*problems, *data)
    if data:
        raise DataError(*data)
