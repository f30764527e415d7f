"""The bytes that ``torch.save`` writes, taken apart without torch: a zip archive, or the stream of old versions.

Zip (torch ≥ 1.6): ``NAME/data.pkl`` with the pickle, ``NAME/data/KEY`` with the bytes of each storage.
Stream (before): a magic number, a protocol number and a note about the system, each a pickle; the content's
pickle; the pickle of a list of keys; then for each key a count (8 bytes) and the bytes of the storage.
Nothing is ever written to disk, so that names inside an archive are only names.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from dwn_hw.frontend.pickles import unpickle
from dwn_hw.frontend.pickles.standins import AnyArray, InertClass, Storage, TorchType, shown, storage_values

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

#: The greatest ratio of uncompressed bytes to the size of the file. torch does not compress; repacked archives reach about 3.
_MAX_RATIO = 20
_SLACK = 1 << 20

_RESAVE = 'Save the model again with torch.save({"model": model, "thermometer": thermometer}, "model.pt").'

#: The first bytes of other files, and what these are.
_HEADS = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x93NUMPY", "a NumPy .npy array"),
    (b"%PDF", "a PDF document"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x7fELF", "a program"),
)

#: The exceptions that ``zipfile`` raises on damaged bytes.
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, ValueError, LookupError,
    OSError, EOFError, OverflowError, MemoryError,
)  # fmt: skip


class ForeignError(Exception):
    """Bytes that are something else than a readable checkpoint."""

    def __init__(self, rule: str, got: str, remedy: str) -> None:
        self.rule, self.got, self.remedy = rule, got, remedy
        super().__init__(f"{rule}; got {got}. {remedy}")


def parse(data: bytes) -> Any:
    """The content of a checkpoint; raises :class:`ForeignError`, or what :mod:`dwn_hw.frontend.pickles.unpickle` raises."""
    if not data:
        raise _not_ours("an empty file")
    if data.startswith(b"PK"):
        return _zip(data)
    for head, what in _HEADS:
        if data.startswith(head):
            raise _not_ours(what)
    if data[257:262] == b"ustar":
        raise _not_ours("the tar format of torch before 0.1.10, or another tar archive", _RESAVE)
    if not data.startswith(b"\x80"):
        text = all(byte >= 32 or byte in b"\t\r\n" for byte in data[:512])
        raise _not_ours("a text file" if text else "a file of unknown kind")
    return _stream(io.BytesIO(data))


def _not_ours(what: str, remedy: str = "Give the .pt file of a trained model.") -> ForeignError:
    return ForeignError("must be a file that torch.save wrote", what, remedy)


def _damaged(what: str) -> ForeignError:
    return ForeignError("must be a complete file", what, "It is cut short or damaged: copy or save it again.")


def _zip(data: bytes) -> Any:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))  # all in memory: nothing to close
        root = _root(archive, len(data))
        pickle = archive.read(f"{root}/data.pkl")
    except _ZIP_ERRORS as error:
        raise _damaged(f"a zip archive that cannot be read ({shown(str(error))})") from None
    return unpickle.load(io.BytesIO(pickle), _Records(archive, root).storage, len(data))


def _root(archive: zipfile.ZipFile, size: int) -> str:
    """The folder inside the archive that holds the checkpoint, after all checks on the table of contents."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise _not_ours("a TorchScript archive (torch.jit.save)", "Save the module itself instead. " + _RESAVE)
    if names and all(name.endswith(".npy") for name in names):
        raise _not_ours("a NumPy .npz archive", "Samples go where data is asked for; give the .pt file of a model.")
    roots = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(roots) != 1 or len(set(names)) != len(names):
        raise _not_ours(f"a zip archive with {len(roots)} data.pkl and {len(set(names))} of {len(names)} names unique")
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
        raise _not_ours("a zip archive with an unusual compression", _RESAVE)
    total = sum(info.file_size for info in infos)
    if total > _MAX_RATIO * size + _SLACK:
        rule = f"must not unpack to more than {_MAX_RATIO} times its size"
        raise ForeignError(rule, f"{total} bytes in an archive of {size}", "A zip bomb looks like this. " + _RESAVE)
    if f"{roots[0]}/byteorder" in names and archive.read(f"{roots[0]}/byteorder") != b"little":
        raise _not_ours("a checkpoint in big-endian byte order", "Save it on a little-endian machine.")
    return roots[0]


class _Records:
    """The storages of a zip checkpoint, each read once."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self.archive, self.root = archive, root
        self.names = set(archive.namelist())
        self.known: dict[tuple[str, str], Storage] = {}

    def storage(self, pid: object) -> Storage:
        """The storage that a persistent id names."""
        kind, key, numel = _storage_id(pid)
        if (key, kind.name) not in self.known:
            name = f"{self.root}/data/{key}"
            if name not in self.names:
                raise ValueError(f"a tensor whose data is missing ({shown(key)})")
            try:
                raw = self.archive.read(name)
            except _ZIP_ERRORS as error:
                raise ValueError(f"tensor data that cannot be read ({shown(str(error))})") from None
            self.known[key, kind.name] = Storage(_elements(raw, kind, numel))
        return self.known[key, kind.name]


def _storage_id(pid: object) -> tuple[TorchType, str, int]:
    if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
        raise ValueError("a persistent id that names no storage")
    _, kind, key, _location, numel = pid[:5]
    if not isinstance(kind, TorchType) or not isinstance(key, str) or type(numel) is not int or numel < 0:
        raise ValueError("a persistent id that names no storage")
    return kind, key, numel


def _elements(raw: bytes, kind: TorchType, numel: int) -> AnyArray:
    length = numel * _itemsize(kind)
    if length > len(raw):
        raise ValueError(f"a storage of {numel} elements in {len(raw)} bytes")
    return storage_values(raw[:length], kind)


def _itemsize(kind: TorchType) -> int:
    if not kind.code:
        raise ValueError(f"a tensor of type {kind.name}")
    return 2 if kind.code == "bf16" else np.dtype(kind.code).itemsize


def _stream(stream: io.BytesIO) -> Any:
    """The format before zip. The data follows the pickle that speaks of it, so the pickle is read twice."""
    if not _is(unpickle.load(stream), _MAGIC):
        raise _not_ours("a plain pickle", "Write it with torch.save, not pickle.dump. " + _RESAVE)
    if not _is(unpickle.load(stream), _PROTOCOL):
        raise _not_ours("an unknown version of torch's old format", _RESAVE)
    unpickle.load(stream)  # sizes of C types on the machine that saved
    start = stream.tell()
    sketch = _Streamed(len(stream.getbuffer()))
    unpickle.load(stream, sketch.storage)
    keys = unpickle.load(stream)
    if not isinstance(keys, list) or not all(type(key) is str for key in keys) or set(keys) != set(sketch.kinds):
        raise _damaged("a list of tensors that does not fit the content")
    for key in keys:
        kind, numel = sketch.kinds[key]
        head = stream.read(8)
        raw = stream.read(numel * _itemsize(kind))
        if len(head) != 8 or int.from_bytes(head, "little") != numel or len(raw) != numel * _itemsize(kind):
            raise _damaged(f"tensor data that ends early or has a wrong length ({shown(key)})")
        sketch.known[key] = storage_values(raw, kind)
    stream.seek(start)
    return unpickle.load(stream, sketch.storage)


def _is(value: object, number: int) -> bool:
    return type(value) is int and value == number


class _Streamed:
    """The storages of the old format: zeros on the first reading, the data on the second."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.kinds: dict[str, tuple[TorchType, int]] = {}
        self.known: dict[str, AnyArray] = {}

    def storage(self, pid: object) -> object:
        """The storage that a persistent id names; or a class that stands with its source code."""
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module" and isinstance(pid[1], InertClass):
            return pid[1]
        kind, key, numel = _storage_id(pid)
        if key not in self.kinds:
            self.left -= numel * _itemsize(kind)
            if self.left < 0:
                raise ValueError("more tensor data than the file has bytes")
            self.kinds[key] = kind, numel
            self.known[key] = storage_values(bytes(numel * _itemsize(kind)), kind)
        if self.kinds[key] != (kind, numel):
            raise ValueError("a storage with two types or sizes")
        view = pid[5] if isinstance(pid, tuple) and len(pid) == 6 else None
        if view is None:
            return Storage(self.known[key])
        _view_key, offset, count = view
        if type(offset) is not int or type(count) is not int or not 0 <= offset <= offset + count <= numel:
            raise ValueError("a view outside its storage")
        return Storage(self.known[key][offset : offset + count])
