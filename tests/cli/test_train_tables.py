"""A table with text and missing values, from ``dwn-hw train`` to predictions of its export, coded by no one but the commands."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from groups import swept

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.errors import ExportError
from dwn_hw.exports import reader
from dwn_hw.ir import evaluate, sample_files, sample_stream, serialize

torch = pytest.importorskip("torch")

HOSTILE = "<script>|*/`"


def run(*words, code=0):
    done = CliRunner().invoke(main.main, [*map(str, words)])
    assert done.exit_code == code, done.output
    return done


def found(*words):
    return json.loads(run(*words, "--json").stdout)


def people(count=420, seed=0):
    """Columns of all kinds; the class follows from color, age and income."""
    rng = np.random.default_rng(seed)
    age, income = rng.integers(18, 80, count), rng.normal(50, 10, count).round(2)
    color = rng.choice(["red", "blue", "dark green", HOSTILE], count)
    held = np.where((color == "red") & (age > 40) | (income > 60), "yes", "no")
    return {
        "id": [f"p{i}" for i in range(count)],
        "age": ["" if i % 17 == 0 else str(n) for i, n in enumerate(age)],
        "color": ["?" if i % 19 == 0 else name for i, name in enumerate(color)],
        "zone": rng.choice(["1", "2", "10"], count).tolist(),
        "income": ["NA" if i % 23 == 0 else str(n) for i, n in enumerate(income)],
        "held by": held.tolist(),
    }


def write(path, columns, order=None):
    names = order or list(columns)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *zip(*(columns[name] for name in names), strict=True)])


OPTIONS = ("--label", "held by", "--categorical", "zone", "--ignore-column", "id", "--epochs", "4", "--bits", "7")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the table, the model that was trained on it, and its export."""
    home = tmp_path_factory.mktemp("tables")
    write(home / "people.csv", people())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        report = found("train", "people.csv", "-o", "m.pt", *OPTIONS)
        exported = found("export", "m.pt", "-o", "out", "--data", "people.csv")
    return home, report, exported


@pytest.fixture
def home(trained, monkeypatch):
    monkeypatch.chdir(trained[0])
    return trained[0]


def plainly(columns, coding):
    """The features, from texts, by a reading of the rules that shares no code."""
    rows = []
    for i in range(len(columns["age"])):
        row = []
        for column in coding["columns"]:
            entry = columns[column["name"]][i]
            if "fill" in column:
                row.append(column["fill"] if entry in ("", "NA") else float(entry))
            else:
                known = column["categories"]
                row += [float(entry == each) for each in (known[1:] if len(known) == 2 else known)]
        rows.append(row)
    return np.array(rows)


def test_the_table_goes_through_every_command_as_it_is(trained, home):
    _, report, exported = trained
    assert report["features"] == 1 + 5 + 3 + 1
    assert report["accuracy"] > 0.8
    assert exported["notes"] == [
        "left out, as the model knows no such column: 'id'",
        "missing values that became the stated number: 'age' 25, 'income' 19",
    ]
    network = serialize.load(home / "out" / "network.safetensors")
    x = plainly(people(), report["table"])
    samples = sample_files.Samples(x, None, None, "x")
    wanted = evaluate.trace(network, sample_files.to_codes(samples, network).codes)[-1]
    y = np.array(people()["held by"])
    told = found("predict", "out", "people.csv", "-o", "p.npz")
    with np.load(home / "p.npz") as file:
        assert (file["y"] == wanted).all()
    accuracy = round(float((np.array(network.class_names)[wanted] == y).mean()), 6)
    assert told["accuracy"] == exported["data"]["accuracy"] == accuracy
    assert found("check", "m.pt", "--data", "people.csv")["data"] == exported["data"]
    tested = found("predict", "out", "m.test.npz")
    assert (tested["samples"], tested["notes"]) == (report["test_samples"], [])
    assert abs(tested["accuracy"] - report["accuracy"]) * report["test_samples"] <= 1
    classes, _ = dwn_hw.predict("out", people())
    assert (classes == wanted).all()


def test_columns_may_stand_in_another_order_and_none_may_be_missing(trained, home):
    write(home / "turned.csv", people(), ["held by", "income", "zone", "age", "color"])
    assert found("predict", "out", "turned.csv")["accuracy"] == trained[2]["data"]["accuracy"]
    columns = people(30)
    columns["colour"] = columns.pop("color")
    write(home / "other.csv", columns)
    said = run("predict", "out", "other.csv", code=2).stderr
    assert "a column 'color', as the model was trained on; got none; near it: 'colour'" in said


def test_a_large_parquet_file_is_coded_part_by_part(trained, home, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    columns = {
        name: pa.array([None if text in ("", "?", "NA") else text for text in own]) for name, own in people().items()
    }
    for name in ("age", "zone", "income"):
        columns[name] = columns[name].cast(pa.float64())
    columns["color"] = columns["color"].dictionary_encode()
    pyarrow.parquet.write_table(pa.table(columns), "people.parquet")
    whole = found("predict", "out", "people.parquet")
    monkeypatch.setattr(sample_stream, "LARGE", 1)
    monkeypatch.setattr(sample_stream, "PART", 8 * 5 * 50)
    parts = found("predict", "out", "people.parquet")
    assert {**parts, "samples_per_second": 0} == {**whole, "samples_per_second": 0}
    assert parts["accuracy"] == trained[2]["data"]["accuracy"]
    assert parts["notes"] == trained[2]["notes"]


def test_categories_that_training_did_not_see_are_told_and_many_refused_if_strict(home):
    columns = people(40)
    columns["color"] = ["Red"] * 30 + columns["color"][30:]
    write(home / "strange.csv", columns)
    told = found("predict", "out", "strange.csv")
    assert any("column 'color': 30 values that training did not see ('Red'), zeros" in note for note in told["notes"])
    assert "30 of 40 samples have categories in column 'color'" in told["warnings"][0]
    assert "they are likely spelled otherwise" in run("predict", "out", "strange.csv", "--strict", code=2).stderr


def test_the_contract_is_in_the_interface_the_page_and_the_header_whatever_names_hold(trained, home):
    document = json.loads((home / "out" / "interface.json").read_text("utf-8"))
    said = trained[1]["table"]
    assert document["input"]["table"]["label"] == said["label"] == "held by"
    for ours, theirs in zip(said["columns"], document["input"]["table"]["columns"], strict=True):
        assert ours["name"] == theirs["name"]
        assert ours.get("categories") == theirs.get("categories")
        assert ours.get("fill") == (float(theirs["fill"]) if "fill" in theirs else None)
    names = [feature["name"] for feature in document["input"]["features"]]
    assert names[:3] == ["age", f"color={HOSTILE}", "color=blue"]
    bits = {feature["name"]: feature["bits"] for feature in document["input"]["features"]}
    assert {bits[name] for name in names if "=" in name} == {1}
    page = (home / "out" / "FEATURES.md").read_text("utf-8")
    assert "| zone | 1, 2, 10 | 0 | 6 to 8 |" in page
    assert f"| age | numbers | {document['input']['table']['columns'][0]['fill']} | 0 |" in page
    assert "<script>" not in page
    comment = (home / "out" / "host" / "dwn_host.h").read_text().split("/* Features by")[1].split("*/")[0]
    assert "6 zone: is it 1, 2, 10" in comment
    assert "9 income: a number" in comment


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table["columns"][1]["categories"].reverse(), "another input"),
        (lambda table: table["columns"][0].update(fill="0"), "another input"),
        (lambda table: table.update(label=7), "input.table.label 7, which is not a string"),
        (lambda table: table["columns"].append({}), "no input.table.columns[4].name"),
        (
            lambda table: table["columns"][0].update(categories={}),
            "input.table.columns[0].categories {}, which is no list",
        ),
        (lambda table: table.update(more=1), "input.table.more, which is unknown"),
    ],
)
def test_an_interface_that_says_other_columns_than_the_network_is_refused(home, change, says):
    path = home / "out" / "interface.json"
    before = path.read_text("utf-8")
    try:
        document = json.loads(before)
        change(document["input"]["table"])
        path.write_text(json.dumps(document), "utf-8")
        with pytest.raises(ExportError) as caught:
            reader.read_export(home / "out")
        assert says in str(caught.value)
    finally:
        path.write_text(before, "utf-8")
    assert reader.read_export(home / "out").network.table is not None


def test_a_checkpoint_whose_columns_are_none_is_refused(home):
    content = torch.load(home / "m.pt", weights_only=True)
    assert [column["name"] for column in content["table"]["columns"]] == ["age", "color", "zone", "income"]
    content["table"]["columns"][0] = {"name": "a\nb", "fill": 1.0}
    content["table"]["columns"].append({"name": "more", "fill": 1.0})
    torch.save(content, home / "bad.pt")
    said = run("check", "bad.pt", code=2).stderr
    assert "characters that are no text" in said
    content["table"]["columns"].pop()
    content["table"]["columns"][0] = {"name": "age", "categories": ["a", "b", "c"]}
    torch.save(content, home / "bad.pt")
    assert "table: must name each of the 10 features; got 12 names" in run("check", "bad.pt", code=2).stderr


def test_python_takes_columns_and_gives_the_same(trained, home):
    columns = people()
    held = columns.pop("held by")
    columns["zone"] = np.array(columns["zone"], int)
    for name in ("age", "income"):
        columns[name] = [float(text) if text not in ("", "NA") else None for text in columns[name]]
    asked = {"categorical": ["zone"], "ignore_columns": ["id"], "epochs": 4, "bits": 7}
    report = dwn_hw.fit(columns, np.array(held, object), "python.pt", **asked)
    assert report["history"] == trained[1]["history"]
    assert report["table"] == {**trained[1]["table"], "label": None}
    model = dwn_hw.load("python.pt")
    told = dwn_hw.export(model, "python", x=columns, y=np.array(held, object))
    assert told["data"]["accuracy"] == trained[2]["data"]["accuracy"]


def test_test_samples_of_ones_own_are_coded_as_the_training_samples_are(home):
    write(home / "second.csv", people(60, 3))
    told = run("train", "people.csv", "--test", "second.csv", "-o", "own.pt", *OPTIONS[:6], "--epochs", "1")
    assert "of 60 test samples" in told.stderr
    assert "note       left out" in told.stderr
    assert "columns    4 become 10 features; categories of color 5, zone 3" in told.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("people.csv", "--label", "held by"), "Leave it out with --ignore-column 'id'."),
        (
            ("people.csv", "--label", "held by", "--ignore-column", "idd"),
            "for --ignore-column; got 'idd'; near it: 'id'",
        ),
        (("people.csv", "--label", "held by", "--categorical", "held by"), "got 'held by', the classes"),
        (("x.npz", "--categorical", "a"), "--categorical: a table; got x.npz, which has no columns"),
        (("holes.csv", "--label", "kind"), "a class in column 'kind' for each sample; got none on line 3 (1 such)"),
    ],
)
def test_what_cannot_be_done_with_columns_is_a_sentence(home, words, says):
    np.savez("x.npz", x=np.random.default_rng(0).normal(size=(60, 2)), y=np.arange(60) % 2)
    (home / "holes.csv").write_text("a,kind\n" + "1,x\n2,\n3,y\n" + "1,x\n3,y\n" * 9)
    assert says in run("train", *words, "-o", "none.pt", code=2).stderr
    assert not (home / "none.pt").exists()


@pytest.mark.parametrize(
    "options", [("--kind", "shift"), *swept((("--kind", "difflogic-like"),), (("--budget-lut", "300"),))]
)
def test_every_kind_of_network_takes_the_table(home, options):
    words = OPTIONS[:6] if "shift" in options else (*OPTIONS[:6], "--bits", "3")
    report = found("train", "people.csv", "-o", "kind.pt", *words, "--epochs", "1", *options)
    exported = found("export", "kind.pt", "-o", "kind-design", "--data", "people.csv")
    assert exported["table"] == report["table"]
    assert exported["notes"][0] == "left out, as the model knows no such column: 'id'"
    told = found("predict", "kind-design", "people.csv")
    assert told["accuracy"] == exported["data"]["accuracy"]
