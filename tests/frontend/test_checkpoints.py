"""Checkpoints on disk: every form reads alike, nothing in a file runs, every refusal is a CheckpointError."""

from __future__ import annotations

import builtins
import collections
import contextlib
import io
import os
import pickle
import struct
import sys
import time
import types
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dwn_hw.errors import CheckpointError, ToolError
from dwn_hw.frontend import checkpoints
from dwn_hw.frontend.pickles import unpickle
from dwn_hw.frontend.pickles.standins import Inert
from dwn_hw.frontend.trained_dwn import TrainedDwn

torch = pytest.importorskip("torch")
nn = torch.nn

FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


# ------------------------------------------------------------------------------------------------ helpers


def archive(pickled: bytes, records: dict[str, bytes] | None = None, root: str = "m", **options: Any) -> bytes:
    """A zip checkpoint around a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as file:
        file.writestr(f"{root}/data.pkl", pickled)
        file.writestr(f"{root}/version", b"3\n")
        for name, data in (records or {}).items():
            file.writestr(f"{root}/{name}" if not name.startswith("/") else name[1:], data)
    return buffer.getvalue()


def write(folder: Path, data: bytes, name: str = "model.pt") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def torch_save(content: Any, path: Path, zipped: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old format looks for the source code of classes, and these have none
        torch.save(content, path, _use_new_zipfile_serialization=zipped)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(path)
    for problem in caught.value.problems:
        assert problem.thing.startswith(path.name[:80].split("\0")[0])
        assert problem.rule
        assert problem.got
        assert problem.remedy
    return str(caught.value)


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def same(one: TrainedDwn, two: TrainedDwn) -> None:
    """Equal in everything but where it came from."""
    assert one.thresholds.dtype == two.thresholds.dtype
    np.testing.assert_array_equal(one.thresholds, two.thresholds)
    assert len(one.layers) == len(two.layers)
    for left, right in zip(one.layers, two.layers, strict=True):
        np.testing.assert_array_equal(left.mapping, right.mapping)
        np.testing.assert_array_equal(left.tables, right.tables)
    assert (one.group.k, one.group.tau) == (two.group.k, two.group.tau)
    assert (one.group.permutation is None) == (two.group.permutation is None)
    if one.group.permutation is not None:
        np.testing.assert_array_equal(one.group.permutation, two.group.permutation)
    assert (one.scaler is None) == (two.scaler is None)
    if one.scaler is not None and two.scaler is not None:
        assert (one.scaler.kind, one.scaler.clip) == (two.scaler.kind, two.scaler.clip)
        for name in ("offset", "factor"):
            left, right = getattr(one.scaler, name), getattr(two.scaler, name)
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
    assert one.class_names == two.class_names
    assert one.feature_names == two.feature_names


def scores(trained: TrainedDwn, x: np.ndarray) -> np.ndarray:
    """The whole network in a few lines of numpy."""
    bits = trained.binarize(x).reshape(len(x), -1)
    for layer in trained.layers:
        address = (bits[:, layer.mapping].astype(int) << np.arange(layer.mapping.shape[1])).sum(-1)
        bits = layer.tables[np.arange(len(layer.tables)), address].astype(bool)
    if trained.group.permutation is not None:
        bits = bits[:, trained.group.permutation]
    bits = np.pad(bits, ((0, 0), (0, -bits.shape[1] % trained.group.k)))
    return bits.reshape(len(x), trained.group.k, -1).sum(-1)


class Upstream:
    """Classes in the shape of torch_dwn's, importable only while they are installed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch
        self.layer = self.define("lut_layer", "LUTLayer", nn.Module)
        self.learnable = self.define("mapping", "LearnableMapping", nn.Module)
        self.group_sum = self.define("utils", "GroupSum", nn.Module)
        self.ste = self.define("utils", "STE", nn.Module)
        self.thermometer = self.define("binarization", "DistributiveThermometer", object)

    def define(self, module: str, name: str, base: type) -> Any:
        full = f"torch_dwn.{module}"
        for part in ("torch_dwn", full):
            if part not in sys.modules:
                self.patch.setitem(sys.modules, part, types.ModuleType(part))
        kind = type(name, (base,), {"__module__": full})
        setattr(sys.modules[full], name, kind)
        return kind

    def lut(self, inputs: int, luts: np.ndarray, mapping: Any = None, weights: Any = None, ste: bool = True) -> Any:
        module = self.layer()
        n = luts.shape[1].bit_length() - 1
        module.input_size, module.output_size, module.n = inputs, len(luts), n
        module.ste, module.clamp_luts = ste, True
        module.alpha, module.beta = torch.tensor(0.5), torch.tensor(0.25)
        if weights is None:
            module.mapping = nn.Parameter(torch.as_tensor(mapping, dtype=torch.int32), requires_grad=False)
        else:
            module.mapping = self.learnable()
            module.mapping.weights = nn.Parameter(torch.as_tensor(weights))
            module.mapping.tau = 0.001
            decoy = torch.arange(len(luts) * n, dtype=torch.int32).reshape(len(luts), n)
            module._LUTLayer__dummy_mapping = nn.Parameter(decoy, requires_grad=False)
        module.luts = nn.Parameter(torch.as_tensor(luts))
        module.luts.is_lut = True
        return module

    def group(self, k: int, tau: float = 1, randperm: Any = None) -> Any:
        module = self.group_sum()
        module.k, module.tau, module.randperm = k, tau, randperm
        return module

    def encoder(self, thresholds: Any, bits: int) -> Any:
        thermometer = self.thermometer()
        thermometer.num_bits, thermometer.feature_wise, thermometer.thresholds = bits, True, thresholds
        return thermometer

    def uninstall(self) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "torch_dwn"]:
            self.patch.delitem(sys.modules, name)


@pytest.fixture
def upstream(monkeypatch):
    return Upstream(monkeypatch)


def small(upstream: Upstream, seed: int = 0) -> tuple[Any, Any]:
    """3 features × 2 bits → 5 LUTs (learnable) → 4 LUTs → 3 classes, with a permutation."""
    rng = np.random.default_rng(seed)
    first = upstream.lut(6, rng.normal(size=(5, 8)).astype("f4"), weights=rng.normal(size=(6, 15)).astype("f4"))
    second = upstream.lut(5, rng.normal(size=(4, 4)).astype("f4"), rng.integers(0, 5, (4, 2)))
    model = nn.Sequential(first, second, upstream.group(3, 2.5, torch.tensor([2, 0, 3, 1])))
    return model, upstream.encoder(torch.tensor(rng.normal(size=(3, 2)).astype("f4")), 2)


@pytest.fixture
def small_file(upstream, tmp_path):
    """A whole-module checkpoint whose classes cannot be imported any more."""
    model, thermometer = small(upstream)
    path = tmp_path / "small.pt"
    torch.save({"model": model, "thermometer": thermometer}, path)
    upstream.uninstall()
    return path


# ------------------------------------------------------------------------------------- what must be read


def test_the_real_checkpoint_gives_its_recorded_bits_and_predictions(jsc, data):
    trained = checkpoints.load(jsc / "dwn_jsc_t4_distributive_300-100_lr_checkpoint.pt")
    recorded = np.load(jsc / "dwn_jsc_t4_distributive_300-100_lr_testvectors.npz")
    x = np.load(data("jsc-1000") / "jsc_openml42468_test1000.npz")["x"]
    assert trained.class_names == ("g", "q", "t", "w", "z")
    assert len(trained.feature_names) == 16
    assert trained.source == "dwn_jsc_t4_distributive_300-100_lr_checkpoint.pt: state_dict"
    np.testing.assert_array_equal(trained.binarize(x).reshape(1000, 64), recorded["x_binarized"])
    np.testing.assert_array_equal(scores(trained, x).argmax(-1), recorded["pred"])


def test_the_real_network_reads_the_same_as_whole_module_and_as_our_own_save(jsc, upstream, tmp_path):
    path = jsc / "dwn_jsc_t4_distributive_300-100_lr_checkpoint.pt"
    content = checkpoints.read(path)
    state, config = content["state_dict"], content["config"]
    model = nn.Sequential(
        upstream.lut(64, state["0.luts"].copy(), weights=state["0.mapping.weights"].copy()),
        upstream.lut(300, state["1.luts"].copy(), state["1.mapping"].copy()),
        upstream.group(config["num_classes"], config["tau"]),
    )
    thermometer = upstream.encoder(torch.tensor(content["thermometer"]["thresholds"]), 4)
    scaler = {key: torch.tensor(value) for key, value in content["scaler"].items()}
    names = {"classes": content["classes"], "feature_names": content["feature_names"]}
    torch.save({"model": model, "thermometer": thermometer, "scaler": scaler, **names}, tmp_path / "whole.pt")
    checkpoints.save(
        model, tmp_path / "own.pt", thermometer=thermometer, scaler=scaler,
        class_names=names["classes"], feature_names=names["feature_names"],
    )  # fmt: skip
    upstream.uninstall()
    reference = checkpoints.load(path)
    same(reference, checkpoints.load(tmp_path / "whole.pt"))
    same(reference, checkpoints.load(tmp_path / "own.pt"))


@pytest.mark.parametrize("zipped", [True, False])
def test_whole_modules_read_without_the_package_that_made_them(upstream, tmp_path, zipped):
    model, thermometer = small(upstream)
    path = tmp_path / "m.pt"
    content = {"model": model, "thermometer": thermometer}
    torch_save(content, path, zipped)
    weights = model[0].mapping.weights.detach().numpy()
    upstream.uninstall()
    with pytest.raises(ModuleNotFoundError):
        torch.load(path, weights_only=False)
    trained = checkpoints.load(path)
    np.testing.assert_array_equal(trained.layers[0].mapping, weights.argmax(0).reshape(5, 3))
    np.testing.assert_array_equal(trained.thresholds, thermometer.thresholds.numpy())
    assert trained.group.permutation.tolist() == [2, 0, 3, 1]
    assert (trained.group.k, trained.group.tau) == (3, 2.5)


def test_stand_ins_keep_names_and_state_and_nothing_else(small_file):
    content = checkpoints.read(small_file)
    assert type(content["model"]) is Inert
    assert (content["model"].module, content["model"].class_name) == ("torch.nn.modules.container", "Sequential")
    assert repr(content["thermometer"]) == "<inert torch_dwn.binarization.DistributiveThermometer>"
    assert content["thermometer"].num_bits == 2


def test_reading_needs_no_torch(small_file, monkeypatch):
    imported: list[str] = []
    real = builtins.__import__

    def watch(name, *args, **kwargs):
        imported.append(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", watch)
    checkpoints.load(small_file)
    assert not [name for name in imported if name.split(".")[0] in ("torch", "torch_dwn", "sklearn")]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32", "bool", "uint16", "int64"])
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_type_keep_their_values(tmp_path, dtype, zipped):
    tensor = torch.arange(12).reshape(3, 4).to(getattr(torch, dtype))
    views = {"all": tensor, "t": tensor.t(), "part": tensor[1:, ::2], "one": tensor[2, 3], "none": tensor[:0]}
    torch_save(views, tmp_path / "t.pt", zipped)
    read = checkpoints.read(tmp_path / "t.pt")
    for name, view in views.items():
        np.testing.assert_array_equal(read[name], view.to(torch.float64).numpy(), strict=False)


def test_cuda_storages_and_torch_versions_read_on_a_cpu(tmp_path):
    torch.save({"t": torch.arange(3.0), "v": torch.__version__}, tmp_path / "t.pt")
    old = zipfile.ZipFile(tmp_path / "t.pt")
    pickled = old.read("t/data.pkl").replace(text("cpu"), text("cuda:3"))
    read = checkpoints.read(write(tmp_path, archive(pickled, {"data/0": old.read("t/data/0")})))
    assert read["t"].tolist() == [0.0, 1.0, 2.0]
    assert read["v"] == torch.__version__


def test_sklearn_scalers_and_plain_companions_read(upstream, tmp_path):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = np.random.default_rng(1).normal(3, 2, (50, 3))
    scaler = preprocessing.StandardScaler().fit(x)
    expected = scaler.transform(x)
    scaler.feature_names_in_ = np.array(["a", "b", "c"], dtype=object)
    model, thermometer = small(upstream)
    extras = {"path": Path("a/b"), "set": {1, 2}, "size": torch.Size([1, 2]), "d": collections.defaultdict(list, a=[1])}
    content = {"model": model, "thermometer": thermometer, "scaler": scaler, "device": torch.device("cpu"), **extras}
    torch.save(content, tmp_path / "m.pt")
    trained = checkpoints.load(tmp_path / "m.pt")
    np.testing.assert_array_equal(trained.scaler.apply(x), expected)
    assert trained.scaler.offset.dtype == np.float64
    assert trained.feature_names == ("a", "b", "c")
    read = checkpoints.read(tmp_path / "m.pt")
    assert (read["set"], read["size"], read["d"]) == ({1, 2}, (1, 2), {"a": [1]})


# ------------------------------------------------------------------------------------------ our own save


@pytest.mark.parametrize("inside", [True, False])
def test_our_save_reads_back_equal_and_loses_nothing(tmp_path, inside):
    layers = pytest.importorskip("dwn_hw.nn")
    torch.manual_seed(0)
    x = torch.randn(100, 3, dtype=torch.float64)
    thermometer = layers.GaussianThermometer(2).fit(x)
    body = [layers.LUTLayer(6, 7, n=3, mapping="learnable", lm_tau=0.5), layers.GroupSum(2, 1.5, randperm=7)]
    model = nn.Sequential(*([thermometer, nn.Flatten()] if inside else []), *body)
    beside = None if inside else thermometer
    scaler = {"mean": torch.ones(3), "std": torch.full((3,), 2.0)}
    names = {"class_names": ["no", "yes"], "feature_names": ["a", "b", "c"]}
    checkpoints.save(model, tmp_path / "m.pt", thermometer=beside, scaler=scaler, **names)
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]
    trained = checkpoints.load(tmp_path / "m.pt")
    np.testing.assert_array_equal(trained.thresholds, thermometer.thresholds.numpy())
    assert trained.class_names == ("no", "yes")
    assert trained.feature_names == ("a", "b", "c")
    plain = torch.load(tmp_path / "m.pt", weights_only=True)
    model.load_state_dict(plain["state_dict"])
    options = plain["layers"][-2]["options"]
    assert options["lm_tau"] == 0.5
    assert options["input_size"] == 6
    raw = x.numpy().astype("f4")
    bits = thermometer.binarize(torch.tensor(trained.scaler.apply(raw)).to(torch.float64)).flatten(1)
    expected = nn.Sequential(*body).eval()(bits) * 1.5
    np.testing.assert_array_equal(scores(trained, raw), expected.detach().numpy())


def test_a_save_that_fails_leaves_no_file_and_the_old_one_untouched(tmp_path, upstream, monkeypatch):
    model, thermometer = small(upstream)
    path = write(tmp_path, b"old")

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(CheckpointError, match="No space left on device"):
        checkpoints.save(model, path, thermometer=thermometer)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pt"]
    with pytest.raises(CheckpointError, match="No such file"):
        checkpoints.save(model, tmp_path / "nowhere" / "m.pt", thermometer=thermometer)


def test_a_model_that_could_not_be_read_back_is_not_saved(tmp_path, upstream):
    model, _ = small(upstream)
    with pytest.raises(CheckpointError, match="must hold the thermometer"):
        checkpoints.save(model, tmp_path / "m.pt")
    assert not list(tmp_path.iterdir())


def test_saving_without_torch_names_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ToolError, match=r"pip install 'dwn-hw\[torch\]'"):
        checkpoints.save(None, tmp_path / "m.pt")


def test_a_later_version_of_our_format_is_refused(tmp_path):
    torch.save({"format": "dwn-hw", "version": 2}, tmp_path / "m.pt")
    assert "must be of version 1 of the dwn-hw format; got version 2, which is newer. Install" in refusal(
        tmp_path / "m.pt"
    )


# ---------------------------------------------------------------------------------------- what must not run


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


def hostile(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Name → (pickle, what the refusal must name); each would touch ``marker`` if it ran."""
    shell = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w')"
    stack_global = b"\x80\x04" + text("torch") + text("nn.Module.__init__.__globals__") + b"\x93."
    return {
        "os.system": (pickle.dumps(Call(os.system, shell), 2), "a request to call posix.system"),
        "eval": (pickle.dumps(Call(eval, code), 2), "a request to call __builtin__.eval"),
        "exec in a dict": (pickle.dumps({"model": {"x": Call(exec, code)}}, 4), "a request to call builtins.exec"),
        "getattr": (b"\x80\x02c__builtin__\ngetattr\nc__builtin__\n__import__\n" + text("x") + b"\x86R.", "getattr"),
        "hub": (pickle.dumps(Call(torch.hub.load, "a/b", "c"), 2), "a request to call torch.hub.load"),
        "load in load": (b"\x80\x02ctorch.storage\n_load_from_bytes\nU\x01a\x85R.", "torch.storage._load_from_bytes"),
        "import by name": (b"\x80\x02ctorch._utils\n_import_dotted_name\n" + text("os.system") + b"\x85R.", "_import_dot"),
        "dotted": (stack_global, "a request for torch.nn.Module.__init__.__globals__"),
        "dotted in a known package": (b"\x80\x02ctorch_dwn\nutils.os.system\n" + text(shell) + b"\x85R.", "utils.os.system"),
        "numpy": (b"\x80\x02cnumpy\nload\n" + text("x") + b"\x85R.", "a request to call numpy.load"),
        "INST": (b"\x80\x02(" + text(shell) + b"iposix\nsystem\n.", "the pickle opcode INST"),
        "OBJ": (b"\x80\x02(cposix\nsystem\n" + text(shell) + b"o.", "a request for posix.system"),
        "EXT": (b"\x80\x02\x82\x01.", "the pickle opcode EXT1"),
        "build": (b"\x80\x02cposix\nsystem\n)\x81}" + text("a") + b"K\x01sb.", "posix.system"),
        "then garbage": (b"\x80\x02cposix\nsystem\n" + text(shell) + b"\x85R00000.", "a request to call posix.system"),
    }  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", list(hostile(Path("x"))))
def test_nothing_in_a_hostile_pickle_runs(name, legacy, tmp_path):
    marker = tmp_path / "ran"
    pickled, named = hostile(marker)[name]
    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {}))
    path = write(tmp_path, head + pickled + pickle.dumps([], 2) if legacy else archive(pickled))
    message = refusal(path)
    assert named in message
    assert not marker.exists()
    if "request" in message:
        assert "must hold only tensors, plain values and layers that dwn-hw knows; got a request" in message
        assert "Nothing was executed." in message


def test_all_requests_of_a_file_are_listed(tmp_path):
    path = write(tmp_path, archive(pickle.dumps([os.getcwd, {"a": Call(print)}, os.getcwd], 2)))
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(path)
    requests = [problem.got for problem in caught.value.problems]
    assert requests == ["a request for posix.getcwd", "a request to call __builtin__.print"]


def test_a_class_of_the_users_own_is_refused_with_the_line_that_saves_it_right(tmp_path, monkeypatch):
    layers = pytest.importorskip("dwn_hw.nn")
    net = type("Net", (nn.Module,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Net", net, raising=False)
    model = net()
    model.first, model.vote = layers.LUTLayer(4, 6, n=2), layers.GroupSum(3)
    torch.save({"model": model}, tmp_path / "m.pt")
    message = refusal(tmp_path / "m.pt")
    assert "got __main__.Net at position 0, a class of its own with LUTLayer, GroupSum" in message
    assert "dwn_hw.save(torch.nn.Sequential(model.first, model.vote), …)" in message


def tensor_call(storage: bytes, offset: int, size: tuple, stride: tuple) -> bytes:
    def plain(value: Any) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    args = b"(" + storage + plain(offset) + plain(size) + plain(stride) + b"\x89}t"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + args + b"R."


def storage(key: str = "0", numel: int = 4) -> bytes:
    return (
        b"("
        + text("storage")
        + b"ctorch\nFloatStorage\n"
        + text(key)
        + text("cpu")
        + b"M"
        + struct.pack("<H", numel)
        + b"tQ"
    )


@pytest.mark.parametrize(
    ("pickled", "named"),
    [
        (tensor_call(storage(), 0, (5,), (1,)), "a tensor of shape (5,) in a storage of 4 elements"),
        (tensor_call(storage(), 3, (2,), (1,)), "a tensor of shape (2,)"),
        (tensor_call(storage(), 0, (2, 2), (3, 1)), "a tensor of shape (2, 2)"),
        (tensor_call(storage(), 0, (1 << 40,), (0,)), "in a storage of 4 elements"),
        (tensor_call(storage(), -1, (1,), (1,)), "a shape that is no short tuple of non-negative integers"),
        (tensor_call(storage(), 0, (2,), (-1,)), "a shape that is no short tuple of non-negative integers"),
        (tensor_call(storage(), 0, (2,), (1, 1)), "more strides than sizes"),
        (tensor_call(storage("7"), 0, (1,), (1,)), "data is missing (7)"),
        (tensor_call(storage("../../../etc/passwd"), 0, (1,), (1,)), "data is missing"),
        (tensor_call(storage(numel=5), 0, (1,), (1,)), "a storage of 5 elements in 16 bytes"),
        (tensor_call(b"N", 0, (1,), (1,)), "a tensor without a storage"),
        (b"\x80\x02" + text("0") + b"Q.", "a persistent id that names no storage"),
        (b"\x80\x02X\xff\xff\xff\x7fab.", "readable checkpoint"),
        (b"\x80\x02K\x01r\xff\xff\xff\xffK\x01" + b"0.", "must hold a model"),
        (b"\x80\x02" + b"]q\x00" + b"h\x00a" + b".", "must hold a model"),
        (
            b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"}h\x00K\x01s.",
            "a dictionary key that is a tuple of its size",
        ),
        (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "must hold a model"),
        (b"\x80\x02ctorch._utils\n_rebuild_parameter\nh\x05R.", "damaged data"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tensors_and_pickles_that_lie_are_refused_quickly(pickled, named, tmp_path):
    started = time.monotonic()
    message = refusal(write(tmp_path, archive(pickled, {"data/0": bytes(16)})))
    assert named in message
    assert time.monotonic() - started < 5


def test_a_pickle_that_multiplies_its_own_content_is_refused(tmp_path):
    members = b"(" + b"K\x01" * 10_000 + b"l"
    pickled = b"\x80\x02" + members + b"\x85q\x00" + b"c__builtin__\nlist\nq\x010" + b"h\x01h\x00R" * 10_000 + b"."
    assert "a pickle that multiplies its own content" in refusal(write(tmp_path, archive(pickled)))


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (np.array([object], dtype=object), "a NumPy array of Python objects"),
        (np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), "a NumPy array of dtype V12"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "a NumPy array of dtype M8"),
    ],
)
def test_numpy_arrays_of_anything_but_numbers_and_text_are_refused(array, named, tmp_path):
    torch.save({"scaler": array}, tmp_path / "m.pt")
    assert named in refusal(tmp_path / "m.pt")


def test_numpy_arrays_whose_size_lies_are_refused(tmp_path):
    pickled = pickle.dumps(np.arange(4.0), 2).replace(b"K\x04\x85", b"K\x05\x85")
    assert "a NumPy array of 4 elements said to have shape (5,)" in refusal(write(tmp_path, archive(pickled)))


# ---------------------------------------------------------------------------------- what is no checkpoint


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(3))
    return buffer.getvalue()


def safetensors() -> bytes:
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return struct.pack("<Q", len(header)) + header + bytes(4)


def tar() -> bytes:
    return b"storages".ljust(257, b"\0") + b"ustar\0" + bytes(249)


def duplicated() -> bytes:
    return archive(b"N.", {"/other/data.pkl": b"N."})


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"", "an empty file"),
        (b"accuracy: 98.2\n" * 40, "a text file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "a PNG image"),
        (b"\x1f\x8b\x08" + bytes(99), "a gzip file"),
        (b"\x01\x02\x03" + bytes(99), "a file of unknown kind"),
        (npz(), "a NumPy .npz archive"),
        (safetensors(), "an array a in the state_dict"),
        (tar(), "the tar format"),
        (archive(b"N.", {"constants.pkl": b"N."}), "a TorchScript archive"),
        (archive(b"N.", {"code/__torch__.py": b""}), "a TorchScript archive"),
        (duplicated(), "a zip archive with 2 data.pkl"),
        (archive(b"N.", {"byteorder": b"big"}), "big-endian"),
        (archive(b"N.", compression=zipfile.ZIP_LZMA), "an unusual compression"),
        (archive(b"N.", {"data/0": bytes(1 << 23)}, compression=zipfile.ZIP_DEFLATED), "bytes in an archive of"),
        (pickle.dumps({"model": 1}, 2), "a plain pickle"),
        (pickle.dumps(np.zeros(3), 2), "a plain pickle"),
        (b"PK\x03\x04" + bytes(40), "a zip archive that cannot be read"),
    ],
)
def test_other_files_are_named_for_what_they_are(data, got, tmp_path):
    message = refusal(write(tmp_path, data))
    assert message.startswith("model.pt: must ")
    assert got in message


def test_torchscript_is_refused_with_what_to_do(tmp_path):
    message = refusal(write(tmp_path, archive(b"N.", {"constants.pkl": b"N."})))
    assert message == (
        "model.pt: must be a file that torch.save wrote; got a TorchScript archive (torch.jit.save). Save the module "
        'itself instead. Save the model again with torch.save({"model": model, "thermometer": thermometer}, "model.pt").'
    )


def test_missing_files_directories_pipes_and_unreadable_files_are_refused(tmp_path, monkeypatch):
    assert refusal(tmp_path / "no.pt") == "no.pt: must exist; got no such file. Check the path."
    assert "must be a file; got a directory" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "must be a regular file; got a device or a pipe" in refusal(tmp_path / "pipe")
    assert "must be readable" in refusal(tmp_path / ("x" * 300))
    assert "got" in refusal(tmp_path / "a\0b")
    path = write(tmp_path, b"x")

    def deny(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", deny)
    assert "model.pt: must be readable; got Permission denied. Check its permissions." in refusal(path)


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.pt"
    with path.open("wb") as file:
        file.truncate(5 << 30)
    assert "must be at most 2147483648 bytes long; got 5368709120 bytes" in refusal(path)


# ----------------------------------------------------------------------------------- truncation and bit rot


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """The bytes of the same small checkpoint in both formats."""
    with pytest.MonkeyPatch.context() as patch:
        upstream = Upstream(patch)
        model, thermometer = small(upstream)
        scaler = {"mean": np.zeros(3), "scale": torch.ones(3)}
        files = []
        for zipped in (True, False):
            path = tmp_path_factory.mktemp("valid") / "v.pt"
            content = {"model": model, "thermometer": thermometer, "scaler": scaler}
            torch_save(content, path, zipped)
            files.append(path.read_bytes())
        upstream.uninstall()
    return files


@FUZZ
@given(cut=st.floats(0, 1, exclude_max=True), form=st.sampled_from([0, 1]))
def test_every_prefix_of_a_checkpoint_is_refused(valid, tmp_path, cut, form):
    refusal(write(tmp_path, valid[form][: int(cut * len(valid[form]))]))


@FUZZ
@given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=6), form=st.integers(0, 2))
def test_damaged_bytes_read_or_are_refused_and_nothing_else(valid, tmp_path, flips, form):
    if form == 2:  # the pickle itself, since a zip archive has checksums
        source = zipfile.ZipFile(io.BytesIO(valid[0]))
        root = source.namelist()[0].split("/")[0]
        raw = bytearray(source.read(f"{root}/data.pkl"))
    else:
        raw = bytearray(valid[form])
    for where, change in flips:
        raw[min(int(where * len(raw)), len(raw) - 1)] ^= change
    data = bytes(raw)
    if form == 2:
        records = {name.removeprefix(f"{root}/"): source.read(name) for name in source.namelist() if "/data/" in name}
        data = archive(data, records)
    with contextlib.suppress(CheckpointError):
        checkpoints.load(write(tmp_path, data))


@FUZZ
@given(st.binary(max_size=200))
def test_the_machine_only_ever_refuses(data):
    with contextlib.suppress(unpickle.UnreadableError, unpickle.RefusedError):
        unpickle.load(io.BytesIO(b"\x80\x02" + data))
