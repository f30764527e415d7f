"""A hundred thousand damaged files: each is read, or refused in words, within 5 seconds and a gigabyte (group ``slow``)."""

from __future__ import annotations

import io
import json
import random
import resource
import struct
import time
import zipfile

import numpy as np
import pytest

from dwn_hw import _json
from dwn_hw.errors import ExportError, InputError, Mismatch, Problem
from dwn_hw.exports import interface_json, reader
from dwn_hw.frontend import checkpoints, sample_formats
from dwn_hw.ir import serialize

torch = pytest.importorskip("torch")

MUTANTS = 12_500
SECONDS, KILOBYTES = 5.0, 1 << 20


def flipped(raw: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut, doubled, or moved."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) or 1)
        match rng.randrange(6):
            case 0 if data:
                data[at] = rng.randrange(256)
            case 1 if data:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at : at + rng.choice((1, 4, 100))]
            case 3:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 9))))
            case 4:
                data[at:at] = data[at : at + rng.choice((8, 300))]
            case _:
                data[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 1 << 20)))
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.05 else data)


def rezipped(raw: bytes, rng: random.Random) -> bytes:
    """An archive whose entries are damaged and packed again with right checksums; or are missing, doubled, or renamed."""
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        entries = [(info.filename, file.read(info)) for info in file.infolist()]
    at = rng.randrange(len(entries))
    name, data = entries[at]
    match rng.randrange(5):
        case 0:
            del entries[at]
        case 1:
            entries[at] = (rng.choice(("../x", "m/data.pkl", "", "a" * 300)), data)
        case _:
            entries[at] = (name, flipped(data, rng))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as file:
        for name, data in entries:
            file.writestr(name or "x", data)
    return buffer.getvalue()


OPCODES = b"()}]lbRQutsaeN\x85\x86\x87\x88\x89\x81\x93\x94h0cq2KMJ.\x8f\x90\x91\x92"


def reopcoded(raw: bytes, rng: random.Random) -> bytes:
    """An archive whose pickle has other instructions at some places."""
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        entries = [(info.filename, file.read(info)) for info in file.infolist()]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in entries:
            if name.endswith("data.pkl"):
                body = bytearray(data)
                for _ in range(rng.choice((1, 2, 5))):
                    at = rng.randrange(len(body))
                    body[at : at + rng.randrange(2)] = bytes([rng.choice(OPCODES)])
                data = bytes(body)
            file.writestr(name, data)
    return buffer.getvalue()


def rejsoned(raw: bytes, rng: random.Random) -> bytes:
    """A document with some value in place of another, or an entry less, or more."""
    document = json.loads(raw)
    values = [None, True, -1, 0, 2**70, 1e400, "", "x" * 500, [], {}, [[]], "u8", 3.5, "\ud800", "<script>"]
    places = []

    def walk(value):
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in list(inside):
            places.append((value, key))
            walk(item)

    walk(document)
    for _ in range(rng.choice((1, 1, 2, 4))):
        owner, key = rng.choice(places)
        try:
            if rng.random() < 0.2:
                del owner[key]
            else:
                owner[key] = rng.choice(values)
        except (KeyError, IndexError):
            continue
    return json.dumps(document).encode()


@pytest.fixture(scope="module")
def originals(tmp_path_factory, small_export):
    """The bytes of one whole file of each kind, by the name that they are damaged under."""
    from dwn_hw import nn

    folder = tmp_path_factory.mktemp("originals")
    torch.manual_seed(0)
    thermometer = nn.GaussianThermometer(2).fit(torch.randn(20, 3))
    model = torch.nn.Sequential(nn.LUTLayer(6, 5, n=3, mapping="learnable"), nn.LUTLayer(5, 4, n=2), nn.GroupSum(2))
    torch.save(
        {"model": model, "thermometer": thermometer, "scaler": {"mean": torch.zeros(3), "std": torch.ones(3)}},
        folder / "m.pt",
    )
    state = {
        "state_dict": model.state_dict(),
        "thermometer": {"thresholds": thermometer.thresholds},
        "config": {"num_classes": 2},
    }
    torch.save(state, folder / "s.pt")
    torch.save(state, folder / "old.pt", _use_new_zipfile_serialization=False)
    from safetensors.torch import save_file

    arrays = {key: value.contiguous() for key, value in model.state_dict().items()}
    arrays["thermometer.thresholds"] = thermometer.thresholds
    save_file(arrays, folder / "m.safetensors", {"num_classes": "2"})
    np.savez(folder / "d.npz", x=np.zeros((4, 3)), y=np.zeros(4))
    np.savetxt(
        folder / "d.csv", np.random.default_rng(0).normal(size=(5, 3)), delimiter=",", header="a,b,y", comments=""
    )
    export = small_export(folder / "out")
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return found | {name: (export / name).read_bytes() for name in ("interface.json", "network.safetensors")}


def load_interface(path):
    try:
        interface_json.from_json(_json.parse(path.read_text("utf-8")))
    except ValueError as error:  # the reader of an export says it as an ExportError
        raise ExportError(Problem(path.name, "an interface", str(error), "Export again.")) from None


KINDS = {
    "a module, bytes": ("m.pt", flipped, checkpoints.load),
    "a module, entries": ("m.pt", rezipped, checkpoints.load),
    "a module, instructions": ("m.pt", reopcoded, checkpoints.load),
    "a state_dict, entries": ("s.pt", rezipped, checkpoints.load),
    "the old format": ("old.pt", flipped, checkpoints.load),
    "safetensors": ("m.safetensors", flipped, checkpoints.load),
    "samples": ("d.npz", rezipped, sample_formats.load),
    "a table": ("d.csv", flipped, sample_formats.load),
    "a frozen network": ("network.safetensors", flipped, serialize.load),
    "an interface": ("interface.json", rejsoned, load_interface),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # of the archive that is damaged here
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused_in_words_within_their_budget(tmp_path, originals, kind):
    name, damage, load = KINDS[kind]
    rng, path = random.Random(kind), tmp_path / name
    before, slowest, refused = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0, 0
    for number in range(MUTANTS):
        raw = damage(originals[name], rng)
        path.write_bytes(raw)
        started = time.process_time()
        try:
            load(path)
        except InputError:
            refused += 1
        except Exception as error:  # noqa: BLE001 - what no file may raise
            pytest.fail(f"mutant {number}: {type(error).__name__}: {error}; {raw[:60]!r}")
        slowest = max(slowest, time.process_time() - started)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{kind}: {refused} of {MUTANTS} refused, the slowest in {slowest:.2f} s, {grown >> 10} MiB")
    assert slowest < SECONDS
    assert grown < KILOBYTES


@pytest.mark.slow
def test_a_damaged_interface_is_no_export(tmp_path, small_export, originals):
    out, rng = small_export(tmp_path / "out"), random.Random(0)
    for _ in range(1500):
        (out / "interface.json").write_bytes(rejsoned(originals["interface.json"], rng))
        try:
            exported = reader.read_export(out)
        except (InputError, Mismatch):
            continue
        assert exported.interface.digest == serialize.digest(exported.network)
