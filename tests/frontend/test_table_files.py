"""Tables read alike from every kind of file and from memory; learnt rules; what is no table, or gives no rules, in sentences."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from dwn_hw.errors import DataError
from dwn_hw.frontend import learned_columns, sample_formats, saved_columns, table_files
from dwn_hw.frontend.learned_columns import AskedColumns
from dwn_hw.frontend.module_state import Findings
from dwn_hw.ir.columns import Column, Table, TableCoding
from dwn_hw.ir.sample_files import resolved

AGES, COLORS = [30.0, None, 41.5, 7.0], ["red", "dark  green", None, 'it\'s, "so"']
CLEAN = ["red", "dark green", None, 'it\'s, "so"']


def as_csv(path, comma=","):
    lines = ['"age, in years"|color|kind', "30|red|a", '""|" dark  green"|b', "41.5|?|a", '7|"it\'s, ""so"""|b']
    path.write_text("\ufeff" + "\n".join(lines).replace("|", comma) + "\n", "utf-8")


def as_gz(path):
    as_csv(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def as_arff(path):
    path.write_text("""% a comment
@RELATION 'some table'
@attribute 'age, in years' Real
@attribute color {red, 'dark green', 'it\\'s, "so"'}
@attribute kind {a,b}

@data
30, red,a
?,'dark  green' , b
% another
41.5,?,a
7.0,"it's, \\"so\\"",b
""")


def as_parquet(path, dictionary=False):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    colors = pa.array(COLORS)
    colors = colors.dictionary_encode() if dictionary else colors
    columns = {"age, in years": pa.array(AGES), "color": colors, "kind": pa.array(list("abab"))}
    pyarrow.parquet.write_table(pa.table(columns), path)


def as_structured(path):
    rows = [(np.nan if a is None else a, c or "?", k) for a, c, k in zip(AGES, COLORS, "abab", strict=True)]
    x = np.array(rows, [("age, in years", "f4"), ("color", "U20"), ("kind", "S1")])
    np.savez(path, x=x)


FILES = {
    "t.csv": as_csv,
    "t.tsv": lambda path: as_csv(path, "\t"),
    "t.csv.gz": as_gz,
    "t.arff": as_arff,
    "t.parquet": as_parquet,
    "d.parquet": lambda path: as_parquet(path, dictionary=True),
    "t.npz": as_structured,
}
CODING = TableCoding(
    (Column("age, in years", fill="9"), Column("color", categories=("dark green", 'it\'s, "so"', "red"))), "kind"
)


@pytest.mark.parametrize("name", FILES)
def test_the_same_table_comes_from_every_kind_of_file(tmp_path, name):
    FILES[name](tmp_path / name)
    read = sample_formats.read(tmp_path / name, None if name == "t.csv" else "kind")
    assert len(read) == 4
    samples, _ = resolved(read, CODING)
    assert samples.x.tolist() == [[30, 0, 0, 1], [9, 1, 0, 0], [41.5, 0, 0, 0], [7, 0, 1, 0]]
    assert samples.y.tolist() == ["a", "b", "a", "b"]


class Frame:
    """What a data frame of pandas or polars answers."""

    def __init__(self, columns):
        self._columns, self.columns = columns, list(columns)

    def __getitem__(self, name):
        return Column_(self._columns[name])

    def to_numpy(self):
        raise AssertionError("columns of different kinds are no one array")


class Column_:  # noqa: N801
    def __init__(self, values):
        self.to_numpy = lambda: np.array(values, object)


NAType = type("NAType", (), {})


@pytest.mark.parametrize("kind", [dict, Frame])
def test_columns_in_memory_are_a_table(kind):
    held = {"age, in years": [30, NAType(), 41.5, np.float32(7)], "color": COLORS, "on": [True, False, None, True]}
    assert table_files.is_columns(kind(held))
    table = table_files.of_columns(kind(held), "x")
    assert table.columns[0].dtype == np.float64
    np.testing.assert_array_equal(table.columns[0], [30, np.nan, 41.5, 7])
    assert table.columns[1].tolist() == CLEAN
    assert table.columns[2].tolist() == ["True", "False", None, "True"]
    for wrong, says in [
        ({"a": [1, 2], "b": [1]}, "1 to 2"),
        ({"a": [[1, 2]]}, "shape"),
        ({"a": np.array(["2020-01-01"], "M8[D]")}, "date"),
        ({"a": [object()]}, "an entry of type object in column 'a'"),
        ({"a": np.array([b"\xff"])}, "bytes that are no text in column 'a'"),
        ({}, "no column"),
    ]:
        with pytest.raises(DataError) as caught:
            table_files.of_columns(kind(wrong), "x")
        assert says in str(caught.value)
    assert not table_files.is_columns(np.zeros((2, 2)))


def test_columns_without_a_name_are_called_as_pandas_does_and_a_line_of_missing_values_is_none_of_names(tmp_path):
    (tmp_path / "t.csv").write_text(",a\n0,x\n1,y\n")
    assert sample_formats.read(tmp_path / "t.csv").table.names == ("Unnamed: 0", "a")
    (tmp_path / "t.csv").write_text("1,?,3\n4,5,NaN\n")
    table = sample_formats.read(tmp_path / "t.csv").table
    assert (table.names, table.titles, len(table)) == (None, ("0", "1", "2"), 2)


BROKEN = {
    "semicolons.csv": (b"a;b\n1;2\n", "columns separated by commas; got semicolons"),
    "latin1.csv": ("größe,y\n1,2\n".encode("latin-1"), "bytes that are no text"),
    "packed.csv.gz": (b"no such thing", "a table, one sample a line; got Not a gzipped file"),
    "cut.csv.gz": (gzip.compress(b"a,b\n1,2\n" * 99)[:-30], "a table, one sample a line; got"),
    "names.csv": (b"a,b\n", "at least one sample; got none"),
    "sparse.arff": (b"@attribute a real\n@data\n{0 1}\n", "got a sparse sample on line 3. Save it dense"),
    "short.arff": (b"@attribute a real\n@attribute b real\n@data\n1\n", "got 1 values on line 4, of 2 attributes"),
    "quotes.arff": (b"@attribute a {b}\n@data\n'b\n", "on line 3, which is no value. Mend its quotes"),
    "kind.arff": (b"@attribute a relational\n@data\n1\n", "Its kind must be numeric, real, integer, string, date"),
    "value.arff": (b"@attribute a real\n@data\nx\n", "got 'x' in sample 1 of the numbers 'a'"),
    "none.arff": (b"@relation r\n", "got no @data"),
    "text.arff": (b"\xff\xfe", "bytes that are no text"),
    "gone.arff": (None, "No such file"),
    "gone.csv.gz": (None, "No such file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_is_refused_in_words(tmp_path, name):
    raw, says = BROKEN[name]
    if raw is not None:
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(DataError) as caught:
        sample_formats.read(tmp_path / name)
    assert says in str(caught.value)


def test_quotes_without_an_end_take_no_longer_than_the_line_is_long(tmp_path):
    (tmp_path / "t.arff").write_text("@attribute a string\n@data\n'" + "\\'a" * 100_000)
    with pytest.raises(DataError, match="which is no value"):
        sample_formats.read(tmp_path / "t.arff")


def learn(asked=None, rows=None, label=None, **columns):
    arrays = tuple(c if isinstance(c, np.ndarray) else table_files.text_column(c) for c in columns.values())
    table = Table(tuple(name.replace("_", " ") for name in columns), arrays, None, 2, "line")
    rows = np.arange(len(table)) if rows is None else np.array(rows)
    return learned_columns.learn(table, rows, label, asked or AskedColumns(), "t.csv")


def test_rules_come_from_the_training_samples_alone():
    ages = np.array([1, 2, 9, np.nan, 1000, 1000])
    coding, warnings = learn(rows=[0, 1, 2, 3], age=ages, color=["b", "a", "b", "", "c", "c"], on=ages > 1)
    assert coding.columns == (
        Column("age", fill="2"),
        Column("color", categories=("a", "b", "?")),
        Column("on", categories=("False", "True")),
    )
    assert warnings == []


def test_of_two_categories_the_rarer_one_has_the_feature_and_numbers_are_in_order():
    coding, _ = learn(
        AskedColumns(("grade",)),
        rare=["x"] * 9 + ["a"],
        common=["a"] * 9 + ["x"],
        even=["b", "a"] * 5,
        grade=np.array([10.0, 2, 1.5, 2, 2, 2, 2, 2, 2, np.nan]),
    )
    assert coding.feature_names[:3] == ("rare=a", "common=x", "even=b")
    assert coding.columns[3].categories == ("1.5", "2", "10", "?")


def test_what_says_nothing_or_too_much_is_warned_of():
    count = np.arange(30)
    mixed = ["1", "2", "3+"] * 10
    _, warnings = learn(id=count[::-1] + 1000.0, same=count * 0, word=["w"] * 30, mixed=mixed, other=count * 1.5 + 0.25)
    assert [warning.split(" ")[1] for warning in warnings] == ["'id'", "'same'", "'word'", "'mixed'"]
    assert "counts the samples, 1000 to 1029" in warnings[0]
    assert "has numbers and text ('3+'): all are taken as categories, 3 in all" in warnings[3]


NAMES = [f"name {i}" for i in range(70)]
REFUSED = {
    "too many": ({"who": NAMES}, "got 70 among 70 samples in column 'who' ('name 0', 'name 1', 'name 2', …). Leave it out"),
    "one each": ({"who": NAMES[:9]}, "at most 64 categories, and fewer than samples; got 9 among 9 samples"),
    "a slip": (
        {"n": [*map(str, range(69)), "oops"]},
        "If it holds numbers, mend 1 entries that are none, as 'oops' on line 71.",
    ),
    "numbers as text": ({"n": [*map(str, range(69))]}, "Save it as numbers, or leave it out with --ignore-column 'n'."),
    "commas": ({"n": ["3,5", "4", "", "4,5"]}, "numbers with decimal points; got '3,5' in column 'n' (2 such). Write points"),
    "no value": ({"n": np.full(5, np.nan)}, "a value in column 'n'; got none in the training samples"),
    "no text": ({"n": ["", "?", "NA", ""]}, "a value in column 'n'; got none in the training samples"),
    "zero byte": ({"n": ["a\0", "b", "b"]}, "a category called 'a\\x00', with characters that are no text"),
    "hidden": ({"a\u200b": np.arange(4.0)}, "a column called 'a\\u200b', with characters that are no text"),
    "long": ({"n": ["x" * 300, "b", "b"]}, "a category of 300 characters, where 1 to 200 are allowed"),
    "collide": ({"a=b": np.arange(4.0), "a": ["b", "c", "d", "b"]}, "two features 'a=b'. Rename it"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_columns_without_rules_are_refused_with_what_to_do(name):
    held, says = REFUSED[name]
    with pytest.raises(DataError) as caught:
        learn(**held)
    assert says in str(caught.value)


def test_all_problems_of_a_table_and_of_what_was_asked_come_together():
    with pytest.raises(DataError) as caught:
        learn(
            AskedColumns(("agee", "kind"), ("b", "b", "gone")), label="kind", age=NAMES[:5], b=["x"] * 5, c=["3,1"] * 5
        )
    got = [problem.got for problem in caught.value.problems]
    assert got[:4] == ["'agee'; near it: 'age'", "'kind', the classes", "'gone'; near it: 'age'", got[3]]
    assert len(got) == 5


def test_equal_names_are_refused_unless_they_are_ignored():
    table = Table(("a", "a", "b"), (np.arange(4.0), np.arange(4.0), np.arange(4.0) ** 2))
    with pytest.raises(DataError, match="names that tell columns apart; got 2 columns 'a'"):
        learned_columns.learn(table, np.arange(4), None, AskedColumns(), "t")
    coding, _ = learned_columns.learn(table, np.arange(4), None, AskedColumns((), ("a",)), "t")
    assert coding.feature_names == ("b",)
    with pytest.raises(DataError, match="a column to learn from"):
        learned_columns.learn(table, np.arange(4), None, AskedColumns((), ("a", "b")), "t")


def test_plain_values_say_the_coding_and_are_read_back():
    found = Findings("m")
    assert saved_columns.read(saved_columns.plain(CODING), found) == CODING
    assert found.problems == []


@pytest.mark.parametrize(
    "stored",
    [
        7,
        {"columns": 7},
        {"columns": []},
        {"columns": ["age"]},
        {"columns": [{"name": "a"}]},
        {"columns": [{"name": "a", "fill": float("nan")}]},
        {"columns": [{"name": "a", "fill": True}]},
        {"columns": [{"name": "a", "fill": 1, "categories": ["b"]}]},
        {"columns": [{"name": "a", "fill": 1, "more": 2}]},
        {"columns": [{"name": "a", "categories": [1.5]}]},
        {"columns": [{"name": "a", "categories": "bc"}]},
        {"columns": [{"name": "a\n", "fill": 1}]},
        {"columns": [{"name": "a", "fill": 1}], "label": 3},
        {"columns": [{"name": "a", "fill": 1}], "label": "a"},
    ],
)
def test_plain_values_that_say_none_are_a_problem_of_the_checkpoint(stored):
    found = Findings("m")
    assert saved_columns.read(stored, found) is None
    assert found.problems


@pytest.mark.parametrize("values", [["1", "?", "2.5"], np.array(["1", "NA", "2.50"]), np.array([b"1", b"", b"2.5"])])
def test_texts_that_are_all_numbers_or_missing_are_numbers_as_in_a_file_of_text(values):
    column = table_files.of_columns({"a": values}, "x").columns[0]
    np.testing.assert_array_equal(column, [1, np.nan, 2.5])


def test_what_is_declared_to_hold_categories_holds_them_whatever_they_look_like(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    held = {"a": pa.array(["7", None, "7", "1"]).dictionary_encode(), "b": pa.array(["7", None, "07", "1"])}
    pyarrow.parquet.write_table(pa.table(held), tmp_path / "t.parquet")
    table = sample_formats.read(tmp_path / "t.parquet").table
    assert table.columns[0].tolist() == ["7", None, "7", "1"]
    assert table.columns[1].dtype == np.float64

    class Series:
        dtype = "category"

        def __array__(self, dtype=None, copy=None):
            return np.array([7, 1, 7])

    assert table_files.of_columns({"a": Series()}, "x").columns[0].tolist() == ["7", "1", "7"]
