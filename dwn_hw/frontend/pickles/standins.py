"""What stands in for each name that a checkpoint may ask for: inert objects and checked array builders.

A pickle is a program that names Python objects and calls them. Here no name in a file reaches the
object that it names: :func:`find` answers with something of this module, or with None. A class becomes
an :class:`Inert`, which only keeps the state it was given; a tensor or a NumPy array becomes a plain
``numpy.ndarray``, built by functions that check every size against the bytes that are really there.
Nothing here imports torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

AnyArray: TypeAlias = npt.NDArray[Any]

#: An expanded tensor (stride 0) may hold more elements than its storage, up to this many.
_EXPANDED_LIMIT = 1 << 20


class Inert:
    """An object of a class that was never imported: its name, and the state from the file in ``__dict__``."""

    __slots__ = ("__dict__", "class_name", "module")

    def __init__(self, module: str, class_name: str) -> None:
        self.module = module
        self.class_name = class_name

    def __repr__(self) -> str:
        return f"<inert {self.module}.{self.class_name}>"


@dataclass(frozen=True, slots=True)
class InertClass:
    """A class by its name alone; making an instance of it gives an :class:`Inert`."""

    module: str
    name: str
    allowed: bool = True

    @property
    def full_name(self) -> str:
        """The text ``module.Class`` for a message."""
        return shown(f"{self.module}.{self.name}", 200)

    def __call__(self, *_args: object) -> Inert:
        """Make an instance, whatever the arguments."""
        return Inert(self.module, self.name)


@dataclass(frozen=True, slots=True)
class Maker:
    """One of our own functions, under the name that the file calls it by."""

    make: Callable[..., object]

    @property
    def makes_instances(self) -> bool:
        """Whether the function makes an object of the class that it is given, without a call of that class."""
        return self.make is _instance

    def __call__(self, *args: object) -> object:
        """What our function makes."""
        return self.make(*args)


@dataclass(frozen=True, slots=True)
class TorchType:
    """A torch dtype or storage class: ``code`` in NumPy's letters, ``bf16``, or "" where NumPy has none."""

    name: str
    code: str


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """The elements of one tensor storage, and the same bytes as other types, each made once."""

    values: AnyArray
    views: dict[str, AnyArray] = field(default_factory=dict)

    def as_type(self, kind: TorchType) -> AnyArray:
        """The bytes of the storage as elements of another type."""
        if kind.name not in self.views:
            self.views[kind.name] = storage_values(self.values.tobytes(), kind)
        return self.views[kind.name]


class DType:
    """A NumPy dtype of fixed-size numbers or text, or of objects (``object_``)."""

    __slots__ = ("code", "order")
    _CODES = re.compile(r"[<>|=]?(f[248]|[iu][1248]|b1|[US]\d{1,6}|O8?)")

    def __init__(self, code: object, *_flags: object) -> None:
        if not isinstance(code, str) or not self._CODES.fullmatch(code):
            raise ValueError(f"a NumPy array of dtype {shown(code)}")
        self.code = code.lstrip("<>|=")
        self.order = code[0] if code[0] in "<>" else "="

    @property
    def is_object(self) -> bool:
        """Whether elements are Python objects, which have no fixed size."""
        return self.code.startswith("O")

    def build(self, state: object) -> None:
        """Take the byte order; no fields, no sub-arrays."""
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise ValueError("a NumPy dtype with fields")
        self.order = state[1] if state[1] in ("<", ">") else "="

    def dtype(self) -> np.dtype[Any]:
        """The real dtype."""
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]


class Array:
    """A NumPy array in the making; ``value`` is the array, or a tuple of names for an object array of text."""

    __slots__ = ("value",)

    def __init__(self, *_args: object) -> None:
        self.value: AnyArray | tuple[str, ...] | None = None

    def build(self, state: object) -> None:
        """Check shape and size against the bytes, then take them."""
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], DType):
            raise ValueError("a NumPy array in an unknown form")
        _version, shape, dtype, fortran, raw = state
        sizes = _sizes(shape)
        if dtype.is_object:
            if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
                raise ValueError("a NumPy array of Python objects")
            self.value = tuple(raw)
            return
        values = _from_bytes(raw, dtype.dtype())
        if math.prod(sizes) != values.size:
            raise ValueError(f"a NumPy array of {values.size} elements said to have shape {sizes}")
        self.value = values.reshape(sizes, order="F" if fortran else "C")

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> AnyArray:
        return np.array([] if self.value is None else self.value, dtype=dtype)


def shown(text: object, limit: int = 80) -> str:
    """The text of something from a file as it may stand in a message: short, on one line, without control characters."""
    if not isinstance(text, str | int | float | bool | None):
        return f"a {type(text).__name__}"
    if isinstance(text, int) and abs(text) > 1 << 128:
        return "a very large integer"
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)[: limit + 1])
    return plain if len(plain) <= limit else plain[:limit] + "…"


def build(target: object, state: object) -> None:
    """Do what BUILD means: an inert object keeps its state; containers and text drop their attributes."""
    match target:
        case Inert():
            for part in state if isinstance(state, tuple) else (state,):
                if part is None:
                    continue
                if not isinstance(part, dict) or not all(isinstance(key, str) for key in part):
                    raise ValueError(f"a state of {target.module}.{target.class_name} that is no dictionary")
                target.__dict__.update(part)
        case Array() | DType():
            target.build(state)
        case dict() | str():
            pass  # a state_dict's _metadata; nothing that the hardware needs
        case _:
            raise ValueError(f"a state for a {type(target).__name__}")


def storage_values(raw: bytes, kind: TorchType) -> AnyArray:
    """The elements of a storage; bfloat16, which NumPy lacks, as float32 of the same value."""
    if not kind.code:
        raise ValueError(f"a tensor of type {kind.name}")
    if kind.code == "bf16":
        upper = np.frombuffer(raw, "<u2").astype("<u4") << np.uint32(16)
        return np.frombuffer(upper.tobytes(), np.float32)
    if kind.code == "?":
        flags: AnyArray = np.not_equal(np.frombuffer(raw, np.uint8), 0)
        return flags
    dtype: np.dtype[Any] = np.dtype(f"<{kind.code}")
    return np.frombuffer(raw, dtype)


def _tensor(storage: object, offset: object, size: object, stride: object, *rest: object) -> AnyArray:
    """A tensor as a read-only view of its storage, every element inside it."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    if any(part for part in rest[2:]):
        raise ValueError("a tensor with a conjugate or negative bit")
    sizes, strides, (start,) = _sizes(size), _sizes(stride), _sizes((offset,))
    if len(sizes) != len(strides):
        raise ValueError("a tensor with more strides than sizes, or fewer")
    if not (count := math.prod(sizes)):
        return np.zeros(sizes, storage.values.dtype)
    last = start + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    if last >= storage.values.size or count > max(storage.values.size, _EXPANDED_LIMIT):
        raise ValueError(f"a tensor of shape {sizes} in a storage of {storage.values.size} elements")
    step_bytes = [step * storage.values.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage.values[start:], sizes, step_bytes, writeable=False)


def _tensor_v3(storage: object, offset: object, size: object, stride: object, *rest: object) -> AnyArray:
    """A tensor whose dtype stands beside an untyped storage."""
    grad, hooks, kind, *metadata = rest
    if not isinstance(storage, Storage) or not isinstance(kind, TorchType):
        raise ValueError("a tensor without a storage or a type")
    return _tensor(Storage(storage.as_type(kind)), offset, size, stride, grad, hooks, *metadata)


def _parameter(data: object = None, *_rest: object) -> object:
    return data


def _from_type(func: object, _new_type: object, args: object, _state: object) -> object:
    """The tensor of a tensor subclass, or of a tensor with attributes."""
    if not isinstance(func, Maker) or not isinstance(args, tuple):
        raise ValueError("a tensor built by something other than torch")
    return func(*args)


def _instance(cls: object, *_rest: object) -> object:
    if not isinstance(cls, InertClass):
        raise ValueError("an object without a class")
    return cls()


def _dict(*args: object) -> dict[Any, Any]:
    """A dictionary, from nothing or from a list of pairs (an older OrderedDict)."""
    pairs = [pair for arg in args if isinstance(arg, list | tuple) for pair in arg]
    if any(isinstance(arg, dict) for arg in args) or not all(
        isinstance(p, list | tuple) and len(p) == 2 for p in pairs
    ):
        raise ValueError("a dictionary in an unknown form")
    return {plain_key(key): value for key, value in pairs}


def _members(*args: object) -> list[Any]:
    first = args[0] if args else ()
    if len(args) > 1 or not isinstance(first, list | tuple | set | frozenset):
        raise ValueError("a collection in an unknown form")
    return list(first)


#: Python hashes a number by its remainder here: below it, each has a hash of its own (but for -1, which shares that of -2).
_HASHED = (1 << 61) - 1

#: The most entries of a tuple that is a key: with -1 and -2 in every place, 2 to this power share one hash.
_LONGEST_KEY = 6


def plain_key(key: object) -> Any:
    """A key or member that is cheap to hash, and whose hash few others share: a plain value, or a short flat tuple of them."""
    flat = isinstance(key, tuple) and len(key) <= _LONGEST_KEY and all(map(_is_plain, key))
    if flat or _is_plain(key):
        return key
    size = " of its size" if isinstance(key, int | tuple) else ""
    raise ValueError(f"a dictionary key that is a {type(key).__name__}{size}")


def _is_plain(key: object) -> bool:
    if isinstance(key, np.generic):
        return key.dtype.kind in "biufUS" and _is_plain(key.item())
    return key is None or isinstance(key, str | float | bytes) or (isinstance(key, int) and abs(key) < _HASHED)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """The bytes of text, which is how protocol 2 spells bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("bytes in an unknown encoding")
    return text.encode("latin1")


def _scalar(dtype: object, raw: object) -> Any:
    if not isinstance(dtype, DType) or dtype.is_object:
        raise ValueError("a NumPy scalar of Python object type")
    values = _from_bytes(raw, dtype.dtype())
    if values.size != 1:
        raise ValueError(f"a NumPy scalar of {values.size} elements")
    return values[0]


def _from_bytes(raw: object, dtype: np.dtype[Any]) -> AnyArray:
    if not isinstance(raw, bytes | bytearray):
        raise ValueError("a NumPy array without bytes")
    if dtype.kind == "U" and (np.frombuffer(bytes(raw), np.dtype("u4").newbyteorder(dtype.byteorder)) > 0x10FFFF).any():
        raise ValueError("NumPy text with numbers that are no characters")
    return np.frombuffer(bytes(raw), dtype)


def _sizes(value: object) -> tuple[int, ...]:
    if (
        not isinstance(value, list | tuple)
        or len(value) > 32
        or not all(type(item) is int and 0 <= item < 1 << 62 for item in value)
    ):
        raise ValueError("a shape that is no short tuple of non-negative integers")
    return tuple(value)


_STORAGES = {
    "FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "bf16",
    "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?", "UntypedStorage": "u1",
}  # fmt: skip

_DTYPES = {
    "float32": "f4", "float": "f4", "float64": "f8", "double": "f8", "float16": "f2", "half": "f2",
    "bfloat16": "bf16", "int64": "i8", "long": "i8", "int32": "i4", "int": "i4", "int16": "i2", "short": "i2",
    "int8": "i1", "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8", "bool": "?",
    "float8_e4m3fn": "", "float8_e5m2": "", "float8_e4m3fnuz": "", "float8_e5m2fnuz": "", "complex64": "",
    "complex128": "",
}  # fmt: skip

_MAKERS: dict[str, Callable[..., object]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.nn.parameter.Buffer": _parameter,
    "torch.Size": lambda *args: tuple(_members(*args)),
    "torch.device": lambda *args: ":".join(shown(arg) for arg in args),
    "torch.serialization._get_layout": lambda *args: shown(args[0]),
    "torch.torch_version.TorchVersion": lambda *args: shown(args[0]),
    "collections.OrderedDict": _dict,
    "collections.defaultdict": lambda *_args: {},
    "builtins.set": lambda *args: {plain_key(item) for item in _members(*args)},
    "builtins.frozenset": lambda *args: frozenset(plain_key(item) for item in _members(*args)),
    "builtins.list": lambda *args: _members(*args),
    "builtins.tuple": lambda *args: tuple(_members(*args)),
    "builtins.dict": _dict,
    "copyreg._reconstructor": _instance,
    "copyreg.__newobj__": _instance,
    "_codecs.encode": _encode,
    "numpy.dtype": DType,
    "numpy.core.multiarray._reconstruct": Array,
    "numpy.core.multiarray.scalar": _scalar,
}

#: Names that a file may mention as a type and that nothing is built from.
_TOKENS = {"torch.Tensor", "numpy.ndarray", "builtins.object", "builtins.int", "builtins.float", "builtins.str"}

#: Packages (and their submodules) whose classes become inert: layers, scalers, and harmless companions.
_INERT = (
    "torch.nn.modules", "torch.nn.parallel", "torch.nn.functional", "torch.optim.swa_utils", "torch._dynamo.eval_frame",
    "torch_dwn", "dwn_hw.nn", "sklearn.preprocessing", "argparse", "types.SimpleNamespace", "pathlib", "datetime", "typing",
)  # fmt: skip

#: Other spellings of module names: Python 2's, which protocol 2 still writes, and NumPy 2's.
_SPELLINGS = {
    "__builtin__": "builtins", "copy_reg": "copyreg", "numpy._core.multiarray": "numpy.core.multiarray",
    "torch.tensor": "torch._tensor",
}  # fmt: skip


def find(module: str, name: str) -> InertClass | Maker | TorchType | None:
    """What stands in for ``module.name``; None when the file has no business asking for it."""
    module = _SPELLINGS.get(module, module)
    if module in ("torch", "torch.storage", "torch.cuda") and name in _STORAGES:
        return TorchType(name, _STORAGES[name])
    if module == "torch" and name in _DTYPES:
        return TorchType(name, _DTYPES[name])
    full = f"{module}.{name}"
    if full in _MAKERS:
        return Maker(_MAKERS[full])
    if full in _TOKENS or (name.isidentifier() and any(f"{full}.".startswith(f"{known}.") for known in _INERT)):
        return InertClass(module, name)
    return None
