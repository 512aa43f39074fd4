import pytest

from clm_ler.tables.labs.parsing import ResultOptions, canonical_word, read_numbers, read_texts

EVERY = ResultOptions(bounds=True, text_min_persons=1)


def numbers(as_table, texts, **options):
    table = as_table(list(enumerate(texts)), {"n": "int64", "x": "string"})
    value = read_numbers(table.x, ResultOptions(**options)).cast("string")
    found = table.select("n", value=value).order_by("n").to_pyarrow()["value"].to_pylist()
    return [text and float(text) for text in found]


def test_bounds_and_ranges(as_table):
    found = {
        "7.2": 7.2,
        "<0.02": 0.02,
        ">= 600": 600,
        "≤ .5": 0.5,
        "> 1e3": 1000,
        "1-3": 2,
        "5 to 10": 7.5,
        "0 \N{EN DASH} 2": 1,
        "3-1": None,
        "2020-05-03": None,
        "<": None,
        "positive": None,
        "": None,
        None: None,
    }
    assert numbers(as_table, found, bounds=True) == list(found.values())
    plain = [value if text == "7.2" else None for text, value in found.items()]
    assert numbers(as_table, found) == plain


def test_what_some_engines_take_for_a_number_is_none(as_table):
    found = {
        " 7.5\t": 7.5,
        "7.5\N{NO-BREAK SPACE}": 7.5,
        "-.5": -0.5,
        "1e3": 1000,
        "+2": 2,
        **dict.fromkeys(["1_000", "1d", "1f", "NaN", "nan", "inf", "-Infinity", "1e999", "0x10"]),
        **dict.fromkeys(["1,5", "1 000", "٣", "--1", "1e", "."]),
    }
    assert numbers(as_table, found) == list(found.values())


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"thousands": ","}, {"1,200": 1200, "1,234,567.8": 1234567.8, "1,20": None, "12": 12}),
        ({"thousands": ".", "decimal_comma": True}, {"1.200,5": 1200.5, "7,2": 7.2, "1.2": 1.2}),
        ({"decimal_comma": True, "bounds": True}, {"<7,2": 7.2, "1,5-2,5": 2}),
        (
            {"thousands": "."},
            {"0.123": 0.123, "1.234": 1234, "1.234.5": None, "12.345.678": 12345678},
        ),
        ({"thousands": ","}, {"0,123": None, "<1,234 ": None, "-1,200 ": -1200}),
        ({"thousands": ",", "bounds": True}, {"<1,234 ": 1234, "1,000 - 2,000": 1500}),
        ({"thousands": " ", "bounds": True}, {"< 1 200 ": 1200, "1 000 - 2 000": 1500}),
        ({"thousands": " "}, {"1 200": 1200, "1\N{NO-BREAK SPACE}200": 1200, "1 20": None}),
    ],
)
def test_separators(as_table, options, found):
    assert numbers(as_table, found, **options) == list(found.values())


def test_a_comma_has_one_meaning():
    with pytest.raises(ValueError, match="either decimal_comma or the separator of thousands"):
        ResultOptions(decimal_comma=True, thousands=",")


def test_words_have_one_spelling(as_table):
    found = {
        " yellow ": "YELLOW",
        "dark  Yellow": "DARK YELLOW",
        "neg": "NEGATIVE",
        "Not detected.": "NEGATIVE",
        "(+)": "POSITIVE",
        "Not detected (qualifier value)": "NEGATIVE",
        "Cloudy urine (finding)": "CLOUDY URINE",
        "\N{NO-BREAK SPACE}pos\N{NO-BREAK SPACE}": "POSITIVE",
        "pending": None,
        "see comment": None,
        "x" * 61: None,
        "4.5": None,
        " ": None,
        "rot": "RED",
        "nan": None,
        "10-20": "10 TO 20",  # as it stands it is the name of a bin
        "0-5": "FEW",
        "a few": "0 TO 5",
        None: None,
    }
    table = as_table(list(enumerate(found)), {"n": "int64", "x": "string"})
    text = read_texts(table.x, read_numbers(table.x, ResultOptions(text_min_persons=1)))
    words = canonical_word(text, ResultOptions(words={"ROT": "RED", "0-5": "FEW", "A FEW": "0-5"}))
    assert table.select("n", w=words).order_by("n").to_pyarrow()["w"].to_pylist() == list(
        found.values()
    )
