"""A pickle reader that cannot execute anything: a stack machine over the opcodes of ``pickletools``.

The standard library's unpickler imports what a file names and calls it. This one knows only the
stand-ins of :mod:`dwn_hw.frontend.pickles.standins`: it has no import, no attribute access, and no call but to them. An object
of a class that it does not know becomes an inert one, which holds the state from the file and nothing else. Whatever else
is asked for under a name that it does not know is collected, so that a refusal lists all of it. Time and memory are
bounded by the length of the pickle: memo entries are a dictionary, nothing recurses, and keys are cheap to hash.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from dwn_hw.frontend.pickles.standins import Array, Inert, InertClass, Maker, build, find, plain_key, shown

Persistent = Callable[[object], object]


class UnreadableError(Exception):
    """The bytes are no pickle that can be read; the message says what they are."""


class RefusedError(Exception):
    """The pickle asks for things that it has no business asking for; ``requests`` lists them in words."""

    def __init__(self, requests: list[str]) -> None:
        self.requests = requests
        super().__init__("; ".join(requests))


_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}

_EMPTY: dict[str, Callable[[], object]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}

_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip

#: The exceptions over which damaged or hostile bytes can make the machine or ``pickletools`` stumble.
_STUMBLES = (
    ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, MemoryError, RecursionError,
)  # fmt: skip


#: The most instructions of a pickle: a checkpoint has some thousands, and a reader in Python does a million a second.
MOST_INSTRUCTIONS = 3_000_000

#: A tensor or an array may be larger than its bytes (expanded, or of another type); all of a file together by so many elements.
_EXPANDED = 1 << 20


def load(stream: io.BytesIO, persistent: Persistent | None = None, size: int | None = None) -> Any:
    """The object of the pickle at the stream's position, which is left behind its end.

    ``size``: the bytes of the whole file, where these are more than the stream's: what is built may grow with them.
    """
    machine = _Machine(persistent, size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pickletools decodes escapes of protocol 0, and may frown on them
            result = machine.run(stream)
    except _STUMBLES as stumble:
        if refusals := machine.refusals():
            raise RefusedError(refusals) from None
        raise UnreadableError(
            f"{shown(str(stumble), 200)}" if type(stumble) is ValueError else "damaged data"
        ) from None
    if refusals := machine.refusals():
        raise RefusedError(refusals)
    return result


class _Machine:
    """One run over one pickle."""

    def __init__(self, persistent: Persistent | None, size: int | None) -> None:
        self.size = size
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.persistent = persistent
        self.requests: dict[str, bool] = {}  # name → was it also called
        self.instances: set[str] = set()  # names of unknown classes of which the file holds objects, inert here
        self.budget = self.elements = 0

    def refusals(self) -> list[str]:
        asked = {name: called for name, called in self.requests.items() if called or name not in self.instances}
        return [f"a request {'to call' if called else 'for'} {name}" for name, called in asked.items()]

    def charge(self, parts: object) -> None:
        """Count what a call copies, so that a short pickle cannot make much out of little."""
        for part in parts if isinstance(parts, tuple) else (parts,):
            self.budget -= _copied(part)
            # What a call passes on to another one, as a tensor with attributes does.
            self.budget -= sum(map(_copied, part)) if isinstance(part, tuple) else 0
        if self.budget < 0:
            raise ValueError("a pickle that multiplies its own content")

    def count(self, made: object) -> None:
        """Count the elements of an array that was made, which an expanded tensor has of nothing."""
        values = made.value if isinstance(made, Array) else made
        if isinstance(values, np.ndarray):
            self.elements -= values.size
            if self.elements < 0:
                raise ValueError("arrays of far more elements than the file has bytes")

    def run(self, stream: io.BytesIO) -> Any:
        length = stream.getbuffer().nbytes
        self.budget = 16 * length + (1 << 16)
        self.elements = 4 * max(length, self.size or 0) + _EXPANDED
        for done, (opcode, arg, _position) in enumerate(pickletools.genops(stream)):
            name = opcode.name
            if done >= MOST_INSTRUCTIONS:
                raise ValueError(f"a pickle of more than {MOST_INSTRUCTIONS} instructions")
            if name == "STOP":
                break
            if name in _LITERALS:
                self.stack.append(arg)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in _EMPTY:
                self.stack.append(_EMPTY[name]())
            elif name in _ACTIONS:
                _ACTIONS[name](self, arg)
            else:
                raise ValueError(f"the pickle opcode {name}")
        (result,) = self.stack
        return result

    def mark(self, _arg: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def push(self, value: object) -> None:
        self.stack.append(value)

    def to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def pop(self, _arg: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.to_mark()

    def put(self, arg: Any) -> None:
        self.memo[len(self.memo) if arg is None else arg] = self.stack[-1]

    def get(self, arg: Any) -> None:
        self.stack.append(self.memo[arg])

    def short_tuple(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError
        target.extend(items)

    def add(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise TypeError
        target.update([plain_key(item) for item in items])

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):  # of a class of dictionaries
            target = target.__dict__
        if type(target) is not dict or len(items) % 2:
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[plain_key(key)] = value

    def set_item(self, _arg: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError
        found = find(module, name)
        if found is None:
            found = InertClass(module, name, allowed=False)
            self.requests.setdefault(found.full_name, False)
        self.stack.append(found)

    def stack_name(self, _arg: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name(module, name)

    def call(self, _arg: Any) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Maker | InertClass) or not isinstance(args, tuple):
            raise TypeError
        if isinstance(function, InertClass) and not function.allowed:
            self.requests[function.full_name] = True
        if isinstance(function, Maker) and function.makes_instances and args and isinstance(args[0], InertClass):
            self.instances.add(args[0].full_name)
        self.charge(args)
        self.stack.append(function(*args))
        self.count(self.stack[-1])

    def make(self, arg: Any) -> None:
        """Make an object of a class without a call of it: of an unknown class, an inert one that holds its state alone."""
        made = self.stack[-2]
        if isinstance(made, InertClass) and not made.allowed:
            self.instances.add(made.full_name)
            self.stack[-2] = InertClass(made.module, made.name)
        self.call(arg)

    def make_with_names(self, arg: Any) -> None:
        if self.stack.pop() != {}:
            raise TypeError
        self.make(arg)

    def build(self, _arg: Any) -> None:
        state = self.stack.pop()
        self.charge(state)
        build(self.stack[-1], state)
        self.count(self.stack[-1])

    def persist(self, _arg: Any) -> None:
        if self.persistent is None:
            raise ValueError("a persistent id where none may stand")
        self.stack.append(self.persistent(self.stack.pop()))


def _copied(part: object) -> int:
    """How many things a copy of ``part`` holds."""
    return len(part) if isinstance(part, str | bytes | list | tuple | dict | set | frozenset) else 0


def _nothing(_machine: _Machine, _arg: Any) -> None:
    """A marker that carries no meaning for this reader."""


_ACTIONS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": _nothing,
    "FRAME": _nothing,
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": lambda machine, _: machine.to_mark(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.to_mark())),
    "TUPLE1": lambda machine, _: machine.short_tuple(1),
    "TUPLE2": lambda machine, _: machine.short_tuple(2),
    "TUPLE3": lambda machine, _: machine.short_tuple(3),
    "LIST": lambda machine, _: machine.push(machine.to_mark()),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.to_mark()),
    "SETITEM": _Machine.set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "ADDITEMS": lambda machine, _: machine.add(machine.to_mark()),
    "FROZENSET": lambda machine, _: machine.push(frozenset(plain_key(item) for item in machine.to_mark())),
    "GLOBAL": lambda machine, arg: machine.name(*arg.split(" ", 1)),
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.make,
    "NEWOBJ_EX": _Machine.make_with_names,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persist,
    "MEMOIZE": _Machine.put,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
}
