"""Columns of tables become features by stated rules, beside a plain reading of the same rules; hostile codings are refused."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import DataError, ExportError, IRError
from dwn_hw.ir import column_coding, columns, sample_files, serialize
from dwn_hw.ir.columns import Column, Table, TableCoding

CODING = TableCoding(
    (
        Column("age", fill="37.5"),
        Column("color", categories=("blue", "red", "?")),
        Column("sex", categories=("m", "f")),
        Column("grade", categories=("1", "2.5", "10", "best")),
    ),
    "kind",
)
FEATURES = ("age", "color=blue", "color=red", "color=?", "sex=f", "grade=1", "grade=2.5", "grade=10", "grade=best")


def text(*entries):
    column = np.empty(len(entries), object)
    column[:] = entries
    return column


def table(**named):
    names = tuple(name.replace("_", " ") for name in named)
    return Table(names, tuple(v if isinstance(v, np.ndarray) else text(*v) for v in named.values()))


def plainly(row):
    """The rules again, of a row of texts."""

    def called(entry):
        if entry in ("", "?", "NA"):
            return "?"
        try:
            value = float(entry)
        except ValueError:
            return entry
        return str(int(value)) if value == int(value) else str(value)

    age, color, sex, grade = row
    found = [37.5 if age in ("", "?", "NA") else float(age)]
    found += [float(called(color) == each) for each in ("blue", "red", "?")]
    found.append(float(called(sex) == "f"))
    return found + [float(called(grade) == each) for each in ("1", "2.5", "10", "best")]


ENTRIES = st.tuples(
    st.sampled_from(["1", "-2.5", "7e1", "", "?", "NA"]),
    st.sampled_from(["blue", "red", "", "mauve", "Red", "?"]),
    st.sampled_from(["m", "f", "", "x"]),
    st.sampled_from(["1", "01", "1.0", "2.50", "10", "1e1", "best", "worst", "2", "NA"]),
)


@given(rows=st.lists(ENTRIES, min_size=1, max_size=12), order=st.permutations(range(4)))
def test_features_are_as_the_rules_say_in_whatever_order_columns_stand(rows, order):
    names = ("age", "color", "sex", "grade")
    given = Table(tuple(names[i] for i in order), tuple(text(*(row[i] for row in rows)) for i in order))
    x, told = column_coding.code(CODING, given, "t")
    assert CODING.feature_names == FEATURES
    assert x.tolist() == [plainly(row) for row in rows]
    assert told.filled.get("age", 0) == sum(row[0] in ("", "?", "NA") for row in rows)
    unseen = {"color": ("mauve", "Red"), "sex": ("", "x"), "grade": ("worst", "2", "NA")}
    for at, (name, strange) in enumerate(unseen.items(), 1):
        assert told.unseen.get(name, {}) == {
            (text if text not in ("", "NA") else "a missing value"): count
            for text in strange
            if (count := sum(row[at] == text for row in rows))
        }


@pytest.mark.parametrize(
    "grades",
    [np.array([1, 10, 3]), np.array([1.0, 10.0, 3.0], np.float32), text("1", "10.0", "3"), text("01", "1e1", None)],
)
def test_numbers_are_the_same_categories_from_text_floats_and_integers(grades):
    x, _ = column_coding.code(CODING, table(age=np.ones(3), color=["?"] * 3, sex=["f"] * 3, grade=grades), "t")
    assert x[:, 5:].tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_truth_values_are_categories_by_their_names_and_numbers_where_a_column_of_numbers_is_wanted():
    coding = TableCoding((Column("on", categories=("False", "True")), Column("n", fill="0")))
    values = np.array([True, False])
    x, _ = column_coding.code(coding, table(on=values, n=values), "t")
    assert x.tolist() == [[1, 1], [0, 0]]
    assert column_coding.code(coding, table(on=["True", "no"], n=["1", "0"]), "t")[0].tolist() == [[1, 1], [0, 0]]


def test_other_columns_are_left_out_with_a_word_and_those_missing_are_refused_with_the_nearest():
    whole = {"age": ["1"], "color": ["red"], "sex": ["m"], "grade": ["1"]}
    _, told = column_coding.code(CODING, table(**whole, id=["x"]), "t")
    assert told.notes() == ["left out, as the model knows no such column: 'id'"]
    assert told.warnings() == []
    with pytest.raises(DataError) as caught:
        column_coding.code(CODING, table(Age=["1"], color=["red"], colour=["red"], grades=["1"]), "t")
    assert [problem.got for problem in caught.value.problems] == [
        "none; near it: 'Age', 'grades'", "none; near it: 'Age'", "none; near it: 'grades', 'Age'",
    ]  # fmt: skip
    twice = Table(("age", "age", "color", "sex", "grade"), tuple(text("1") for _ in range(5)))
    with pytest.raises(DataError, match="one column 'age'; got 2"):
        column_coding.code(CODING, twice, "t")


def test_features_that_are_coded_already_are_taken_by_name_or_in_order():
    x = np.arange(18.0).reshape(2, 9)
    named = Table(FEATURES[::-1], tuple(x[:, ::-1].T))
    assert (column_coding.code(CODING, named, "t")[0] == x).all()
    unnamed = Table(None, tuple(x.T))
    assert (column_coding.code(CODING, unnamed, "t")[0] == x).all()
    other = Table(tuple("abcdefghi"), tuple(x.T))
    found, told = column_coding.code(CODING, other, "t")
    assert (found == x).all()
    assert "no column has a name that the model knows: taken in order" in told.warnings()[0]
    by_place = Table(None, (np.array([np.nan]), text("red"), text("f"), np.array([2.5])))
    assert column_coding.code(CODING, by_place, "t")[0].tolist() == [[37.5, 0, 1, 0, 1, 0, 1, 0, 0]]
    with pytest.raises(DataError, match="4 columns, or 9 features in order; got 3 without names"):
        column_coding.code(CODING, Table(None, tuple(x.T[:3])), "t")


@pytest.mark.parametrize(
    ("ages", "says"),
    [
        (["1", "3,5", "4,25"], "numbers in column 'age'; got '3,5' on row 2 (2 such). Write decimal points."),
        (["1", "old", "2"], "got 'old' on row 2. Mend it, or leave it empty for a missing value."),
        (["1", "1_0", "2"], "got '1_0' on row 2"),
        (["1", "-inf", "2"], "finite numbers in column 'age'; got -inf on row 2"),
    ],
)
def test_what_is_no_number_is_refused_by_its_place(ages, says):
    given = table(age=ages, color=["red"] * 3, sex=["m"] * 3, grade=["1"] * 3)
    with pytest.raises(DataError) as caught:
        column_coding.code(CODING, given, "t")
    assert says in str(caught.value)


def test_all_problems_of_a_table_come_in_one_message():
    coding = TableCoding((Column("a", fill="0"), Column("b", fill="0")))
    with pytest.raises(DataError) as caught:
        column_coding.code(coding, table(a=["x"], b=["y"]), "t")
    assert len(caught.value.problems) == 2


def test_categories_that_are_mostly_strange_are_warned_of_over_all_parts():
    told = column_coding.Told()
    for _ in range(4):
        part = table(age=np.ones(5), color=["Red"] * 3 + ["red"] * 2, sex=["m"] * 5, grade=["1"] * 5)
        told.add(column_coding.code(CODING, part, "t")[1])
    assert told.warnings() == [
        "12 of 20 samples have categories in column 'color' that training did not see ('Red'): they are likely spelled otherwise"
    ]


def test_the_column_of_classes_is_the_models_then_a_usual_name_that_is_no_feature():
    coding = TableCoding((Column("class", categories=("1st", "2nd")), Column("n", fill="0")), "survived")
    ship = {"class": ["1st", "2nd"], "n": ["1", "2"]}
    found, _ = sample_files.resolved(
        sample_files.Samples(None, None, None, "t", table(**ship, survived=["no", "yes"])), coding
    )
    assert (found.x.tolist(), found.y.tolist()) == ([[0, 1], [1, 2]], ["no", "yes"])
    found, _ = sample_files.resolved(sample_files.Samples(None, None, None, "t", table(**ship)), coding)
    assert found.y is None
    found, _ = sample_files.resolved(sample_files.Samples(None, None, None, "t", table(**ship, y=["a", "b"])), coding)
    assert found.y.tolist() == ["a", "b"]


PORT = ir.Input((9,), (ir.Format(8),))
NODES = (ir.Thermometer(tuple((1,) for _ in range(9))), ir.GroupSum(3), ir.ArgMax())
NETWORK = ir.Network(PORT, NODES, (), FEATURES, (), CODING)


def test_it_travels_with_the_network_and_changes_its_digest_and_no_other_networks():
    assert serialize.loads(serialize.dumps(NETWORK)) == NETWORK
    plain = dataclasses.replace(NETWORK, table=None)
    assert serialize.digest(plain) != serialize.digest(NETWORK)
    assert b'"table"' not in serialize.dumps(plain)
    assert NETWORK.upto(1).table == CODING


HOSTILE = {
    "no column": (TableCoding(()), "columns of 0 features"),
    "fewer features": (TableCoding(CODING.columns[:2]), "columns of 4 features, where there are 9"),
    "a name with a line break": (Column("a\nb", fill="1"), "with characters that are no text"),
    "a name that is none": (Column("", fill="1"), "a column of 0 characters"),
    "a long name": (Column("n" * 201, fill="1"), "a column of 201 characters"),
    "a name that is a number": (Column(7, fill="1"), "called 7, which is no text"),
    "both kinds": (Column("a", fill="1", categories=("b",)), "without one of a number"),
    "no kind": (Column("a"), "without one of a number"),
    "an infinite filling": (Column("a", fill="1e999"), "which is no finite number"),
    "a filling that is code": (Column("a", fill="__import__('os')"), "which is no finite number"),
    "no category": (Column("a", categories=()), "without a category"),
    "a category twice": (Column("a", categories=("b", "b")), "a category twice"),
    "a category of two spellings": (Column("a", categories=("1.0", "b")), "reads otherwise"),
    "a category that is missing": (Column("a", categories=("NA", "b")), "reads otherwise"),
    "a category with a zero byte": (Column("a", categories=("b\0", "c")), "with characters that are no text"),
    "a category that is a list": (Column("a", categories=(["b"], "c")), "which is no text"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_coding_that_is_none_makes_no_network(name):
    coding, says = HOSTILE[name]
    coding = coding if isinstance(coding, TableCoding) else TableCoding((*CODING.columns, coding))
    assert any(says in fault for fault in columns.faults(coding, 9))
    with pytest.raises(IRError, match="columns that become its features"):
        dataclasses.replace(NETWORK, table=coding)


@pytest.mark.parametrize(
    ("own", "label", "says"),
    [
        ((Column("a", fill="1"), Column("a", fill="2")), None, "two columns 'a'"),
        ((Column("a=b", fill="1"), Column("a", categories=("b", "c", "d"))), None, "two features 'a=b'"),
        ((Column("a", fill="1"),), "a", "a feature of the column of classes"),
        ((Column("a", fill="1"),), "a ", "the column of classes called 'a '"),
    ],
)
def test_names_must_tell_columns_and_features_apart(own, label, says):
    assert any(says in fault for fault in columns.faults(TableCoding(own, label)))


def test_features_of_other_names_than_the_columns_make_no_network():
    with pytest.raises(IRError, match="features called as its columns say"):
        dataclasses.replace(NETWORK, feature_names=FEATURES[::-1])


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.update(columns=7),
        lambda said: said["columns"].append("age"),
        lambda said: said["columns"][1].update(categories="abc"),
        lambda said: said["columns"][0].update(more=1),
        lambda said: said["columns"][0].pop("name"),
        lambda said: said.pop("label"),
        lambda said: said["columns"][1].update(categories=[{}, []]),
    ],
)
def test_a_file_that_says_no_coding_is_no_network(change):
    header, arrays = serialize._encode(NETWORK)
    change(header["table"])
    header["digest"] = serialize._digest(header, arrays)
    raw = serialize.safetensors.numpy.save(arrays, {"dwn_hw": serialize._canonical(header)})
    with pytest.raises((ExportError, IRError)):
        serialize.loads(raw)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_as_text_is_that_number(value):
    told = columns.number_text(value)
    assert float(told) == value or (value == 0 and float(told) == 0)
    assert columns.category(told) == told
    assert columns.faults(TableCoding((Column("a", fill=told),))) == []
    assert math.isnan(columns.number(""))
