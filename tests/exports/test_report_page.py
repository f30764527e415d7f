"""The page of exports: it loads nothing, takes nothing from an export for markup, and says what the export's reports say."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner

import dwn_hw
from dwn_hw import ir
from dwn_hw.cli import main
from dwn_hw.exports import planning, writer
from dwn_hw.exports.page import drawing, figure_charts, kept_facts, one_export, page_files, sample_results
from dwn_hw.exports.page.blocks import Figure, Table
from dwn_hw.hardware import cost
from dwn_hw.hardware.design import clock_estimate, delay_estimates, make_design
from dwn_hw.ir import evaluate, proportions, sample_files

pytest.importorskip("vl_convert")

HOSTILE = '<script>alert(1)</script>"><img src=https://example.org/x onerror=alert(2)>'

#: Elements of HTML that have no end.
VOID = {"meta", "br", "hr"}


class Strict(HTMLParser):
    """Elements in order, with every end where its beginning asks for it; all attributes; all text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(text):
    """The page, after everything that could make a browser load or run something was looked for."""
    page = Strict()
    page.feed(text)
    page.close()
    assert page.open == []
    assert not {"script", "img", "iframe", "object", "embed", "link", "base", "form", "image", "use"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("src", "srcset", "action", "data", "poster", "background"), (tag, name)
        if name.endswith("href"):
            assert value.startswith("#"), value
        if not name.startswith("xmlns") and name not in ("aria-label", "content"):
            assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)", value or "")), value
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert "url(" not in style
    assert "@import" not in style
    return page


def network(names=("a", "b", "c"), features=("x", "y", "z", "w")):
    wires = tuple((i, (i + 1) % 8, (i + 3) % 8) for i in range(6))
    layer = ir.LutLayer(wires, (0x96, 0xE8, 0x1B, 0x7E, 0x2D, 0xD4))
    nodes = (ir.Thermometer(((3, 9),) * 4), layer, ir.GroupSum(3), ir.ArgMax())
    return ir.Network(ir.Input((4,), (ir.Format(4),), ("1/4",)), nodes, names, features)


def exported(out, net=None, report=None, **options):
    """An export whose report says what a real one of it would."""
    net = net or network()
    design = make_design(net, **options)
    codes = np.random.default_rng(0).integers(0, 16, (60, 4))
    said = {
        "source": "model.pt",
        "clock_mhz": {"asked": None, "estimate": clock_estimate(design)},
        "estimate": {name: part.as_report() for name, part in cost.estimate(design).items()},
        "optimized": None,
        "input": {"reason": "stated", "origin": "stated"},
        "calibration": None,
        "checked": {"encoder_bits": 4321, "group_sums": 1234, "reference": "torch", "optimized_sums": 0},
        "data": {"samples": 60, "rounded": 0, "saturated": 0, "accuracy": 0.75},
        "warnings": [],
    }
    writer.write(planning.ExportPlan(design, 0, {**said, **(report or {})}, codes), out)
    return out


def samples(count=200):
    rng = np.random.default_rng(1)
    return sample_files.Samples(rng.integers(0, 16, (count, 4)) / 4, None, rng.integers(0, 3, count), "x.npz")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("page") / "out")


def tables(page):
    return [block for section in page.sections for block in section.blocks if isinstance(block, Table)]


def words(page):
    return " ".join(getattr(block, "text", "") for section in page.sections for block in section.blocks)


def cli(*arguments):
    return CliRunner().invoke(main.main, ["report", *map(str, arguments)])


def test_the_page_stands_by_itself_and_says_what_the_report_says(out, tmp_path):
    done = cli(out, "-o", tmp_path / "page.html", "--svg", tmp_path / "svg", "--csv", tmp_path / "row.csv", "--json")
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "page.html").read_text()
    assert len(text) < 3_000_000
    page = parsed(text)
    report = json.loads((out / "report.json").read_text())
    shown = "\n".join(page.text)
    lut, ff = (sum(part[kind] for part in report["estimate"].values()) for kind in ("lut", "ff"))
    low, high = proportions.interval(45, 60)
    for said in (
        str(lut),
        str(ff),
        "75.0%",
        f"{low:.1%} to {high:.1%}",
        "4,321",
        "1,234",
        "dwn_top: written by",
        "1/4",
    ):
        assert said in shown, said
    for path in (tmp_path / "svg").iterdir():
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert {"network.svg", "thresholds-003.svg", "cost-lut.svg", "pipeline.svg", "margins.svg"} <= {
        path.name for path in (tmp_path / "svg").iterdir()
    }
    (row,) = csv.DictReader((tmp_path / "row.csv").read_text().splitlines())
    assert (row["LUTs, estimate"], row["accuracy"], row["digest"]) == (
        str(lut),
        "0.75",
        kept_facts.read(out).exported.interface.digest,
    )
    assert json.loads(done.stdout)["exports"][0]["LUTs, estimate"] == lut


def test_every_count_of_a_part_stands_in_its_table(out):
    page, _ = page_files.make([out])
    report = json.loads((out / "report.json").read_text())
    (found,) = [table for table in tables(page) if table.head[0] == "LUTs"]
    counts = {part: figures["lut"] for part, figures in report["estimate"].items() if figures["lut"]}
    assert dict(found.rows) == counts | {"whole": sum(counts.values())}


def test_delays_are_of_each_section_and_the_longest_is_the_clock():
    for latency in (0, 1, 2, 4):
        design = make_design(network(), latency=latency)
        delays = delay_estimates(design)
        assert len(delays) == max(1, latency)
        assert 1000 / max(ns for _, ns in delays) == clock_estimate(design)
        assert delays[-1][0] == "argmax"


def test_what_an_export_calls_things_is_text_and_never_markup(tmp_path):
    names = tuple(f"{i}{HOSTILE}" for i in range(3))
    net = network(names, tuple(f"{i}{HOSTILE}" for i in range(4)))
    said = {"source": HOSTILE, "warnings": [HOSTILE], "input": {"reason": HOSTILE, "origin": HOSTILE}}
    out = exported(tmp_path / "<img src=x>", net, said)
    labels = np.random.default_rng(0).integers(0, 3, 60)
    page, _ = page_files.make([out], sample_files.Samples(np.zeros((60, 4)), None, labels, HOSTILE.replace("/", "")))
    text = page_files.html(page)
    found = parsed(text)
    assert sum(HOSTILE in line for line in found.text) >= 6
    assert "<img src=x>" in found.text
    several, table = page_files.make([out, exported(tmp_path / "b", net, said)])
    parsed(page_files.html(several))
    notebook = Strict()
    notebook.feed(page_files.Shown(text, table)._repr_html_())
    assert notebook.tags == ["iframe"]
    assert ("iframe", "srcdoc", text) in notebook.attributes


#: Reports that no command would write, each of which has to give a page all the same.
DAMAGED = [
    *("", "{", "[]", "null", "\udcff", '{"a": 1, "a": 2}', "[" * 200),
    '{"estimate": {"l0": {"lut": NaN}}, "data": {"samples": NaN, "accuracy": Infinity}}',
    '{"estimate": {"l0": {"lut": "many", "ff": true}, "l1": 3}, "clock_mhz": 7, "calibration": [1]}',
    '{"calibration": {"curve": [{}, 1, {"port_bits": 1e999, "lut": "x"}], "taken": null}, "warnings": 5, "checked": []}',
    '{"data": {"samples": 1000000, "accuracy": 7}, "notes": {"a": 1}, "checked": {"scores": -1e400}}',
]


def test_a_report_that_is_damaged_or_says_nonsense_is_shown_as_missing(tmp_path):
    out = exported(tmp_path / "out")
    digest = kept_facts.read(out).exported.interface.digest
    for name in (
        "verify/rtl.json",
        "synth/xc7.json",
        "prove/report.json",
        "build/b/report.json",
        "build/b/placement.json",
    ):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
    for text in DAMAGED:
        (out / "report.json").write_text(text, "utf-8", "surrogateescape")
        mixed = text.replace("{", f'{{"digest": "{digest}", ', 1)  # of this network, as far as anybody can tell
        for name in (
            "verify/rtl.json",
            "synth/xc7.json",
            "prove/report.json",
            "build/b/report.json",
            "build/b/placement.json",
        ):
            (out / name).write_text(mixed, "utf-8", "surrogateescape")
        page, table = page_files.make([out])
        said = repr((page, table))
        assert not re.search(r"\bnan\b|\binf\b", said), text
        assert sum(figure.spec is not None for section in page.sections for figure in section.figures) >= 6
        page_files.make([out, out])


def test_a_report_of_another_network_counts_as_not_there(out, tmp_path):
    own = shutil.copytree(out, tmp_path / "own")
    digest = kept_facts.read(own).exported.interface.digest
    (own / "synth").mkdir()
    for said in (digest, "0" * 16):
        found = {"digest": said, "parts": {"l0": {"lut": 7777}}, "total": {"lut": 8888}}
        (own / "synth" / "xc7.json").write_text(json.dumps(found))
        assert ("8888" in repr(page_files.make([own])[0])) == (said == digest)


def test_edited_verilog_is_said(out, tmp_path):
    own = shutil.copytree(out, tmp_path / "own")
    assert "not as it was exported" not in words(page_files.make([own])[0])
    with (own / "rtl" / "dwn_top.v").open("a") as file:
        file.write("// mine\n")
    assert "the Verilog is not as it was exported (dwn_top.v: edited)" in words(page_files.make([own])[0])


def test_results_are_those_of_the_network(out):
    facts, given = kept_facts.read(out), samples()
    found = sample_results.of_samples(facts, given)
    *_, scores, y = evaluate.trace(facts.network, (given.x * 4).astype(np.int64))
    assert found.right == sum(int(a == b) for a, b in zip(y, given.y, strict=True))
    for margin, row in zip(found.margins(), scores, strict=True):
        assert margin == sorted(row)[-1] - sorted(row)[-2]
    counts = found.confusion(3)
    for i, j in np.ndindex(3, 3):
        assert counts[i, j] == sum(1 for a, b in zip(given.y, y, strict=True) if (a, b) == (i, j))
    bars = figure_charts.margins(found.margins(), found.y == found.labels).spec["data"]["values"]
    assert sum(bar["count"] for bar in bars) == len(y)
    kept = sample_results.of_kept(facts)
    assert kept.labels is None
    assert np.array_equal(kept.codes, np.random.default_rng(0).integers(0, 16, (60, 4)))


def test_histograms_hold_every_sample_and_thresholds_stand_between_codes(out):
    page = one_export.make(kept_facts.read(out), sample_results.of_samples(kept_facts.read(out), samples()))
    (chart,) = [f for section in page.sections for f in section.figures if f.name == "thresholds-000"]
    histogram, lines = chart.spec["layer"]
    assert sum(bar["count"] for bar in histogram["data"]["values"]) == 200
    assert [mark["at"] for mark in lines["data"]["values"]] == [2.5 / 4, 8.5 / 4]


def test_several_exports_are_compared_and_what_differs_is_marked(out, tmp_path):
    cheap = {"data": {"samples": 60, "accuracy": 0.9}, "estimate": {"l0": {"lut": 5, "ff": 1}}}
    other = exported(tmp_path / "other", report=cheap, latency=2)
    rival = exported(tmp_path / "rival", report=cheap | {"data": {"samples": 60, "accuracy": 0.5}}, latency=2)
    page, table = page_files.make([out, other, rival], beside="jsc")
    assert [row[0] for row in table.rows] == [str(out), str(other), str(rival)]
    (front, *_) = page.sections[0].figures
    points = {row["name"]: row for row in front.spec["data"]["values"] if row["name"]}
    assert [name for name, row in points.items() if row["front"]] == ["other"]
    published = {(row["lut"], row["accuracy"]) for row in front.spec["data"]["values"] if not row["name"]}
    assert {(64, 71.2), (311, 74.0), (1697, 75.6)} <= published
    for found in page.sections[1].blocks + page.sections[2].blocks:
        for i, (_, *cells) in enumerate(found.rows):
            assert (i in found.marked) == (len(set(cells)) > 1)
    assert "latency, clocks" in [page.sections[2].blocks[0].rows[i][0] for i in page.sections[2].blocks[0].marked]
    assert (
        page_files.make([out, other], beside="none")[0].sections[0].figures[0].spec["data"]["values"][-1]["name"]
        == "other"
    )
    assert dwn_hw.report([out, other], tmp_path / "two.html").table.rows[0][0] == str(out)
    parsed((tmp_path / "two.html").read_text())


def test_names_of_clips_differ_between_charts_of_a_page():
    chart = {"height": 20, "mark": {"type": "point", "clip": True}, "data": {"values": [{"a": 1}]}}
    figure = Figure("a", "a", chart | {"encoding": {"x": {"field": "a", "type": "quantitative"}}})
    one, other = (drawing.draw(figure, prefix) for prefix in ("c0-", "c1-"))
    ids = [set(re.findall(r'id="([^"]+)"', text)) for text in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert set(re.findall(r"url\(#([^)]+)\)", one)) <= ids[0]


@pytest.mark.parametrize("what", ["nothing", "empty", "file"])
def test_a_directory_that_is_no_export_is_a_sentence_and_nothing_is_written(out, tmp_path, what):
    path = tmp_path / what
    {"nothing": lambda: None, "empty": path.mkdir, "file": lambda: path.write_text("x")}[what]()
    done = cli(out, path, "-o", tmp_path / "page.html")
    assert done.exit_code == 2
    assert f"error: {path}: an export directory; got " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_without_the_library_that_draws_the_remedy_is_said(out, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    done = cli(out, "-o", tmp_path / "page.html")
    assert (done.exit_code, 'Install it: pip install "dwn-hw[report]"' in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []
    assert cli(out, "--csv", tmp_path / "row.csv").exit_code == 0  # which draws nothing


def test_a_spreadsheet_takes_no_cell_for_a_formula(tmp_path):
    out = exported(tmp_path / "out", report={"source": "=cmd|' /C calc'!A0"})
    page_files.write_table(page_files.make([out])[1], tmp_path / "row.csv")
    (row,) = csv.DictReader((tmp_path / "row.csv").read_text().splitlines())
    assert row["model"].startswith("'=")


#: What headless Chromium is called where it is installed.
BROWSERS = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome")


@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_shows_it_and_asks_no_host(out, tmp_path, width):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"needs a headless browser ({', '.join(BROWSERS)})")
    page = tmp_path / "page.html"
    page_files.write(page_files.html(page_files.make([out], samples())[0]), page)
    log, shot = tmp_path / "net.json", tmp_path / "shot.png"
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", f"--screenshot={shot}"]
    subprocess.run([*words, f"--log-net-log={log}", page.as_uri()], check=True, timeout=60, capture_output=True)
    png = shot.read_bytes()
    assert int.from_bytes(png[16:20], "big") == width
    asked = set(re.findall(r'"url":"([a-z-]+:[^"]*)"', log.read_text(errors="replace")))
    assert {url for url in asked if url.startswith(("http:", "https:", "ws:"))} == set()
