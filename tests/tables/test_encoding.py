import numpy as np
import pyarrow as pa
import pytest

from clm_ler.tables.encoding import TokenCodec, parents, split_bins
from clm_ler.tokens import bin_labels

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[MASK]", "ICD10CM:J45", "ICD10CM:J45.90", "LOINC:2345-7"]


def codec(words=WORDS, labels=("0-50", "50-100"), systems=("ICD10CM",)):
    ages = np.arange(121, dtype=np.int32) + 1000
    return TokenCodec(pa.array(words), labels, systems, ages, unknown=1)


@pytest.mark.parametrize("bins", [3, 10, 255])
def test_each_bin_is_split_off_by_its_number(bins):
    labels = bin_labels(bins)
    codes, numbers = split_bins(pa.array([f"LOINC:2345-7:{label}" for label in labels]), labels)
    assert set(codes.to_pylist()) == {"LOINC:2345-7"}
    assert numbers.tolist() == list(range(1, bins + 1))


@pytest.mark.parametrize(
    "token", ["LOINC:2345-7", "LOINC:50-100", "LAB:a:b", "NDC:1-2", "LOINC:2345-7:40-60", "AGE:5"]
)
def test_what_only_looks_like_a_bin_stays(token):
    codes, numbers = split_bins(pa.array([token]), ["0-50", "50-100"])
    assert codes.to_pylist() == [token]
    assert numbers.tolist() == [0]


def test_parents_go_down_to_the_category_of_the_named_systems_only():
    tokens = pa.array(["ICD10CM:J45.901", "ICD10CM:J45.9", "ICD10CM:J45", "CPT:99213", "A.B:1234"])
    broader = parents(tokens, ["ICD10CM", "A.B"]).to_pylist()
    assert broader == ["ICD10CM:J45.90", "ICD10CM:J45", None, None, "A.B:123"]


def test_an_unknown_code_takes_its_nearest_known_parent():
    tokens = ["ICD10CM:J45.901", "ICD10CM:J45.2", "ICD10CM:J45", "ICD10CM:K20.1", "ICD9CM:493.9"]
    assert codec().lookup(pa.array(tokens))[0].to_pylist() == [5, 4, 4, 1, 1]
    assert codec(systems=()).lookup(pa.array(tokens))[0].to_pylist() == [1, 1, 4, 1, 1]


def test_ages_are_looked_up_as_numbers():
    ids, bins = codec().lookup(
        pa.array(["AGE:0", "AGE:120", "AGE:300", "AGE:-1", "AGE:x", f"AGE:{10**20}"])
    )
    assert ids.to_pylist() == [1000, 1120, 1120, 1, 1, 1]
    assert not bins.any()


def test_lists_are_encoded_where_they_lie():
    column = pa.array([["x"], ["LOINC:2345-7:50-100"], [], ["ICD10CM:J45", "LOINC:2345-7:0-50"]])
    encoded = codec().encode_lists(column.slice(1))
    assert encoded.to_pylist() == [
        {"input_ids": [6], "token_type_ids": [2]},
        {"input_ids": [], "token_type_ids": []},
        {"input_ids": [4, 6], "token_type_ids": [0, 1]},
    ]
