import math
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.tables.labs.conversions import extend_unit_conversions, fit_unit_conversions
from clm_ler.tables.labs.quantiles import fit_quantiles
from clm_ler.tables.labs.results import (
    LabOptions,
    classify_lab_events,
    count_lab_values,
    fit_lab_percentiles,
    lab_tokens,
)
from clm_ler.tokens import bin_labels

EVENTS = {
    "person_id": "int64",
    "time": "timestamp",
    "system": "string",
    "code": "string",
    "value": "float64",
    "unit": "string",
}
NOON = datetime(2020, 1, 1, 12)
GLUCOSE, CREATININE = "2345-7", "2160-0"
ANY = LabOptions(min_loinc_counts=1, min_loinc_value_counts=1, percentile_count=4)


def result(person_id, value, unit="mg/dL", code=GLUCOSE, system="LOINC"):
    return (person_id, NOON, system, code, value, unit)


def fit(as_table, events, options=ANY, test_persons=()):
    """Fit on events: the events, unit_conversions and lab_percentiles."""
    labs = as_table(events, EVENTS)
    persons = sorted({row[0] for row in events})
    splits = as_table(
        [(person, "test" if person in test_persons else "train") for person in persons],
        {"person_id": "int64", "split": "string"},
    )

    def saved(table):
        return as_table(table.to_pyarrow(), table.schema())

    counts = saved(count_lab_values(labs, splits, options))
    conversions = saved(fit_unit_conversions(counts, options))
    return labs, conversions, saved(fit_lab_percentiles(counts, conversions, options))


def records(table, *columns):
    return sorted(
        tuple(row[name] for name in columns)
        for row in table.select(*columns).to_pyarrow().to_pylist()
    )


MESSY = [
    *(result(person, 90.0 + person) for person in range(6)),
    *(result(person, 5.0, "mmol/L") for person in range(3)),
    *(result(person, 100.0, "MG/DL") for person in range(3)),
    result(1, 4.0, "stones"),
    result(1, 95.0, None),
    result(1, 95.0, "  "),
    result(1, None),
    result(1, math.nan),
    result(1, math.inf),
    result(1, 1e300),
    result(1, 95.0, code="0000-0"),
    result(1, 95.0, code="glucose"),
    result(1, 95.0, code=None),
    result(1, None, ""),  # words lack no unit
    result(1, None, None),
    result(1, 1.1, "bars", "sugar", "LOCAL"),
    result(9, 1.0, "mg/dL", CREATININE),  # of a test person only
]


def test_units_are_fitted_on_train_and_losses_have_a_reason(as_table):
    labs, conversions, percentiles = fit(as_table, MESSY, test_persons={9})
    assert records(conversions, "code", "unit", "base_unit", "factor", "offset", "n", "status") == [
        (GLUCOSE, "MG/DL", "mg/dL", 1.0, 0.0, 3, "identity"),
        (GLUCOSE, "mg/dL", "mg/dL", 1.0, 0.0, 6, "identity"),
        (GLUCOSE, "mmol/L", "mg/dL", 18.0156, 0.0, 3, "converted"),
        (GLUCOSE, "stones", "mg/dL", None, None, 1, "unconvertible"),
        ("sugar", "bars", "bars", 1.0, 0.0, 1, "identity"),
    ]
    assert records(percentiles, "code", "base_unit", "n", "n_distinct") == [
        (GLUCOSE, "mg/dL", 12, 8),
        ("sugar", "bars", 1, 1),
    ]
    losses = classify_lab_events(labs, conversions, percentiles)
    counts = losses.loss_reason.value_counts(name="n").to_pyarrow().to_pylist()
    assert {row["loss_reason"]: row["n"] for row in counts} == {
        None: 13,
        "unit cannot be converted": 1,
        "no unit": 2,
        "not a number": 6,
        "not a LOINC code": 2,
        "no code": 1,
        "lab or unit not seen in fitting": 1,
    }
    # Sorted: 90, 90.078 (thrice), 91, 92, 93, 94, 95, 100 (thrice): the 3rd, 6th and 9th of 12.
    boundaries = dict(records(percentiles, "code", "boundaries"))
    assert boundaries == {GLUCOSE: pytest.approx([90.078, 92.0, 95.0]), "sugar": [1.1] * 3}
    glucose = [token for _, token in tokens(labs, conversions, percentiles) if GLUCOSE in token]
    assert sorted(token.split(":")[2] for token in glucose) == [
        "0-25",
        *["25-50"] * 4,
        *["50-75"] * 3,
        *["75-100"] * 4,
    ]


def test_a_rare_lab_gets_no_percentiles(as_table):
    events = [result(person, 1.0 + person % 2) for person in range(6)]
    options = {"percentile_count": 4, "min_loinc_counts": 6, "min_loinc_value_counts": 2}
    assert fit(as_table, events, LabOptions(**options))[2].count().to_pyarrow().as_py() == 1
    for key in ("min_loinc_counts", "min_loinc_value_counts"):
        more = LabOptions(**options | {key: options[key] + 1})
        labs, conversions, percentiles = fit(as_table, events, more)
        assert percentiles.count().to_pyarrow().as_py() == 0
        assert lab_tokens(labs, conversions, percentiles).count().to_pyarrow().as_py() == 0
        reasons = classify_lab_events(labs, conversions, percentiles).loss_reason
        assert set(reasons.to_pyarrow().to_pylist()) == {"lab has too few results or values"}


def test_a_mislabelled_unit_is_flagged(as_table):
    events = [result(person, 80.0 + person) for person in range(30)]
    events += [result(person, 100.0, "mmol/L") for person in range(5)]  # surely mg/dL
    events += [result(person, 5.0, "mmol/l") for person in range(5)]
    conversions = fit(as_table, events)[1]
    assert records(conversions, "unit", "suspicious") == [
        ("mg/dL", False),
        ("mmol/L", True),
        ("mmol/l", False),
    ]


def test_ties_of_base_units_go_by_text(as_table):
    conversions = fit(as_table, [result(1, 5.0, "mmol/L"), result(1, 90.0, "mg/dL")])[1]
    assert {base for (base,) in records(conversions, "base_unit")} == {"mg/dL"}


def test_tokens_follow_the_boundaries(as_table):
    # Quartile boundaries of 1..8 are 2, 4 and 6: below the first is bin 1, at the last is bin 4.
    events = [result(person, float(person)) for person in range(1, 9)]
    labs, conversions, percentiles = fit(as_table, events)
    assert records(percentiles, "boundaries") == [([2.0, 4.0, 6.0],)]
    labels = [token.split(":")[2] for _, token in tokens(labs, conversions, percentiles)]
    assert labels == ["0-25", *["25-50"] * 2, *["50-75"] * 2, *["75-100"] * 3]


def tokens(*tables):
    return records(lab_tokens(*tables), "person_id", "token")


def test_one_value_in_two_units_is_one_value(as_table):
    # 5900 * 0.001 is 5.9 only in single precision.
    events = [result(p, v, "K/uL", "6690-2") for p, v in enumerate((5.8, 5.9, 6.0, 6.1))]
    labs, conversions, percentiles = fit(as_table, [*events, result(5, 5900.0, "/uL", "6690-2")])
    assert records(percentiles, "n_distinct") == [(4,)]
    found = dict(tokens(labs, conversions, percentiles))
    assert found[1] == found[5]


def test_another_sites_units_turn_into_the_fitted_base_units(as_table):
    _, conversions, percentiles = fit(as_table, [result(p, 80.0 + p) for p in range(8)])
    elsewhere = as_table(
        [result(1, 5.0, "mmol/L"), result(2, 81.0, "mg/dL"), result(3, 5.0, "mM", CREATININE)],
        EVENTS,
    )
    extended = extend_unit_conversions(conversions, elsewhere, ANY)
    assert records(extended, "unit", "n", "status") == [
        ("mg/dL", 8, "identity"),
        ("mmol/L", 0, "converted"),
    ]
    assert tokens(elsewhere, extended, percentiles) == [
        (1, "LOINC:2345-7:75-100"),  # 90.1 mg/dL
        (2, "LOINC:2345-7:25-50"),
    ]


@pytest.mark.parametrize("bins", [3, 7, 10, 20])
def test_quantiles_are_exact(as_table, bins):
    random = np.random.default_rng(bins)
    groups = {
        "ties": random.integers(0, 6, 101),
        "reals": random.normal(size=97).round(2),
        "constant": np.full(5, 7.0),
        "single": np.array([1.0]),
    }
    rows = [
        (name, float(value), int(count))
        for name, values in groups.items()
        for value, count in zip(*np.unique(values, return_counts=True), strict=True)
    ]
    table = as_table(rows, {"name": "string", "value": "float64", "n": "int64"})
    found = dict(records(fit_quantiles(table, bins), "name", "boundaries"))
    shares = np.arange(1, bins) / bins
    for name, values in groups.items():
        expected = np.quantile(values, shares, method="inverted_cdf")
        assert found[name] == pytest.approx(expected.tolist())


@given(st.integers(3, 255))
def test_bins_have_names_of_their_own(bins):
    labels = bin_labels(bins)
    assert len(set(labels)) == len(labels) == bins
    assert labels[0].startswith("0-") and labels[-1].endswith("-100")


def test_deciles_have_the_published_names():
    assert bin_labels(10)[:2] == ["0-10", "10-20"]
    assert bin_labels(10)[-1] == "90-100"
    assert bin_labels(8)[0] == "0-12.5"
