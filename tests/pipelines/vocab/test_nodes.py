from datetime import datetime, timedelta

import ibis
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from clm_ler.corridor.nodes import encode_sequences
from clm_ler.corridor.options import VocabOptions
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.pipelines.vocab.nodes import (
    build_tokenizer,
    count_tokens,
    plot_coverage,
    report_vocabulary,
)
from clm_ler.tokens import SPECIAL_TOKENS

SEQUENCES = {
    "person_id": "int64",
    "split": "string",
    "sorted_event_tokens": "array<string>",
    "day_position_tokens": "array<int32>",
    "date": "array<timestamp>",
}
BIRTH = datetime(1950, 3, 1)
GLUCOSE = [f"LOINC:2345-7:{low}-{low + 25}" for low in (0, 25, 50, 75)]


def person(number, split, events, age=40, known_birth=True):
    """A row of sequences: the baseline, then (day, token) events counted from the first one."""
    start = BIRTH + timedelta(days=365 * age + 7)
    birth = BIRTH if known_birth else start
    baseline = [f"AGE:{age}"] * known_birth + ["GENDER:F", "RACE:ASIAN OR PACIFIC"]
    return (
        number,
        split,
        baseline + [token for _, token in events],
        [0] * len(baseline) + [day for day, _ in events],
        [birth] * len(baseline) + [start + timedelta(days=day - 1, hours=3) for day, _ in events],
    )


ROWS = [
    person(1, "train", [(1, "CPT:B"), (1, GLUCOSE[0]), (9, "CPT:B"), (400, GLUCOSE[3])]),
    person(2, "train", [(1, "CPT:A"), (2, GLUCOSE[3])], age=41),
    person(3, "valid", [(1, "CPT:B"), (5, "CPT:NEW")], known_birth=False),
    person(4, "test", [(1, "CPT:NEW"), (1, "CPT:OTHER"), (2, GLUCOSE[1])], age=90),
    person(5, "test", [(3, "CPT:A")]),
]


@pytest.fixture
def sequences(as_table):
    return as_table(ROWS, SEQUENCES)


@pytest.fixture
def lab_percentiles(as_table):
    return as_table([([1.0, 2.0, 3.0],)], {"boundaries": "array<float64>"})


def tokenizer_of(sequences, lab_percentiles, **options):
    options = VocabOptions(**{"min_persons": 1} | options)
    return build_tokenizer(count_tokens(sequences, options), lab_percentiles, options)


def counts_to_tokenizer(counts, lab_percentiles, **options):
    columns = {name: list(counts.values()) for name in ("count", "persons", "code_persons")}
    table = ibis.memtable(pa.table({"token": list(counts)} | columns))
    return build_tokenizer(table, lab_percentiles, VocabOptions(**{"min_persons": 1} | options))


def words(tokenizer):
    return tokenizer.convert_ids_to_tokens(range(len(tokenizer)))


def test_tokens_and_their_persons_are_counted_on_train(sequences):
    counts = count_tokens(sequences, VocabOptions()).to_pyarrow().to_pylist()
    assert [tuple(row.values()) for row in counts] == [
        ("CPT:B", 2, 1, 1),
        ("GENDER:F", 2, 2, 2),
        (GLUCOSE[3], 2, 2, 1),
        ("RACE:ASIAN OR PACIFIC", 2, 2, 2),
        ("AGE:40", 1, 1, 1),
        ("AGE:41", 1, 1, 1),
        ("CPT:A", 1, 1, 1),
        (GLUCOSE[0], 1, 1, 1),
    ]


def test_what_too_few_persons_have_is_no_token_and_is_not_named(sequences, lab_percentiles):
    found = words(tokenizer_of(sequences, lab_percentiles, min_persons=2))
    kept = [word for word in found if not word.startswith(("[", "AGE"))]
    assert kept == ["LOINC:2345-7", "GENDER:F", "RACE:ASIAN OR PACIFIC"]  # the lab in two bins
    options = VocabOptions(min_persons=2, uncovered_codes=9)
    tokenizer = tokenizer_of(sequences, lab_percentiles, min_persons=2)
    report = report_vocabulary(sequences, tokenizer, options)
    named = [entry["token"] for entry in report["largest_uncovered"]]
    assert named == ["CPT:B", "CPT:A", "CPT:NEW"]  # each of two persons of all splits
    assert set(report["coverage"]["valid"]) == {"all"}
    assert VocabOptions().min_persons == 10


def test_a_code_of_one_person_is_folded_into_a_broader_one_that_many_have(lab_percentiles):
    rows = [("ICD10CM:J45", 20, 20), ("ICD10CM:J45.9", 15, 1), ("ICD10CM:E11.9", 30, 2)]
    token, count, persons = zip(*rows, strict=True)
    counts = {"token": token, "count": count, "persons": persons, "code_persons": persons}
    options = VocabOptions(parent_systems=("ICD10CM",))
    tokenizer = build_tokenizer(ibis.memtable(counts), lab_percentiles, options)
    assert [word for word in words(tokenizer) if word.startswith("ICD")] == ["ICD10CM:J45"]


def test_the_words_of_a_model_that_is_trained_on_keep_their_ids(sequences, lab_percentiles):
    earlier = counts_to_tokenizer({"CPT:OLD": 9, "CPT:B": 8}, lab_percentiles)
    options = VocabOptions(min_persons=1, vocabulary_size=10)
    counts = count_tokens(sequences, options)
    full = build_tokenizer(counts, lab_percentiles, options, earlier)
    assert words(full) == words(earlier), "what has no room is left out, not what was there"
    options = VocabOptions(min_persons=1)
    grown = build_tokenizer(counts, lab_percentiles, options, earlier)
    assert words(grown)[: len(earlier)] == words(earlier)
    own = words(build_tokenizer(counts, lab_percentiles, options))
    assert words(grown)[len(earlier) :] == [word for word in own if word not in words(earlier)]
    fewer = ibis.memtable({"boundaries": [[1.0, 2.0]]})
    with pytest.raises(ValueError, match="input_model have 4 bins, these have 3: take its own"):
        build_tokenizer(counts, fewer, options, earlier)


def test_all_persons_may_be_counted(sequences):
    tokens = count_tokens(sequences, VocabOptions(fit_on="all")).token.to_pyarrow().to_pylist()
    assert "CPT:NEW" in tokens


def test_words_are_ordered_by_count_and_text(sequences, lab_percentiles):
    found = words(tokenizer_of(sequences, lab_percentiles))
    assert found[:4] == ["[PAD]", "[UNK]", "[CLS]", "[MASK]"]
    assert found[4:9] == [
        "LOINC:2345-7", "CPT:B", "GENDER:F", "RACE:ASIAN OR PACIFIC", "AGE:40",
    ]  # fmt: skip
    assert found[9:12] == ["AGE:41", "CPT:A", "AGE:0"]
    assert {f"AGE:{age}" for age in range(121)} < set(found)


def test_bins_may_stay_in_the_words(sequences, lab_percentiles):
    tokenizer = tokenizer_of(sequences, lab_percentiles, split_percentile_tokens=False)
    assert {GLUCOSE[0], GLUCOSE[3]} < set(words(tokenizer))
    encoded = encode_sequences(sequences, tokenizer).to_pyarrow()
    assert not encoded["token_type_ids"].combine_chunks().flatten().to_numpy().any()


def test_vocabulary_size_counts_the_special_tokens(sequences, lab_percentiles):
    tokenizer = tokenizer_of(sequences, lab_percentiles, vocabulary_size=7)
    assert words(tokenizer)[4:] == ["LOINC:2345-7", "CPT:B", "GENDER:F"]


def test_min_count_spares_the_ages(sequences, lab_percentiles):
    found = words(tokenizer_of(sequences, lab_percentiles, min_count=2))
    assert "CPT:A" not in found and "CPT:B" in found and "AGE:41" in found


def test_one_age_token(sequences, lab_percentiles):
    tokenizer = tokenizer_of(sequences, lab_percentiles, single_age_token=True)
    assert [word for word in words(tokenizer) if word.startswith("AGE")] == ["AGE"]
    encoded = encode_sequences(sequences, tokenizer).order_by("person_id").to_pyarrow()
    age = tokenizer.convert_tokens_to_ids("AGE")
    assert [ids[0].as_py() == age for ids in encoded["input_ids"]] == [
        True,
        True,
        False,
        True,
        True,
    ]


def test_rare_codes_add_to_their_parents_until_these_are_frequent(lab_percentiles):
    counts = {"ICD10CM:J45.901": 2, "ICD10CM:J45.909": 1, "ICD10CM:J45.2": 2, "ICD10CM:K20.0": 1}
    counts |= {"CPT:99213": 1, "ICD10CM:J45.30": 3}
    tokenizer = counts_to_tokenizer(
        counts, lab_percentiles, min_count=3, parent_systems=["ICD10CM"], single_age_token=True
    )
    # J45.901 and J45.909 meet at J45.90; J45.2 alone ends at J45, as rare as before.
    assert words(tokenizer)[4:] == ["ICD10CM:J45.30", "ICD10CM:J45.90"]


def test_parents_serve_the_codes_that_have_no_room(lab_percentiles):
    counts = {"CPT:A": 9, "ICD10CM:J45.1": 5, "ICD10CM:J45.2": 4, "CPT:B": 8}
    tokenizer = counts_to_tokenizer(
        counts,
        lab_percentiles,
        vocabulary_size=6,
        parent_systems=["ICD10CM"],
        single_age_token=True,
    )
    assert words(tokenizer)[4:] == ["CPT:A", "ICD10CM:J45"]


def test_the_saved_tokenizer_is_whole(sequences, lab_percentiles, tmp_path):
    tokenizer = tokenizer_of(sequences, lab_percentiles, parent_systems=["ICD10CM"])
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.init_kwargs["bin_labels"] == ["0-25", "25-50", "50-75", "75-100"]
    assert loaded.init_kwargs["parent_systems"] == ["ICD10CM"]
    tokens = ["RACE:ASIAN OR PACIFIC", "LOINC:2345-7", "CPT:NEW"]
    ids = loaded(tokens, is_split_into_words=True)["input_ids"]
    assert loaded.convert_ids_to_tokens(ids) == [*tokens[:2], "[UNK]"]
    assert [loaded.pad_token_id, loaded.unk_token_id, loaded.cls_token_id] == [0, 1, 2]
    assert Vocabulary.from_tokenizer(loaded).bins == 4


def test_encoded_sequences_decode_to_their_tokens(sequences, lab_percentiles):
    tokenizer = tokenizer_of(sequences, lab_percentiles)
    encoded = encode_sequences(sequences, tokenizer).order_by("person_id").to_pyarrow().to_pylist()
    found, labels = words(tokenizer), tokenizer.init_kwargs["bin_labels"]
    for row, (number, split, tokens, days, _) in zip(encoded, ROWS, strict=True):
        assert (row["person_id"], row["split"], row["position_ids"]) == (number, split, days)
        decoded = [
            found[index] + (f":{labels[lab_bin - 1]}" if lab_bin else "")
            for index, lab_bin in zip(row["input_ids"], row["token_type_ids"], strict=True)
        ]
        known = [token if token in found or "LOINC" in token else "[UNK]" for token in tokens]
        assert decoded == known
    # Days from birth to the first event, where the birth is known.
    days = [row["birth_to_start"] for row in encoded]
    assert days == [40 * 365 + 7, 41 * 365 + 7, None, 90 * 365 + 7, 40 * 365 + 9]


def test_the_report_counts_what_is_covered(sequences, lab_percentiles):
    tokenizer = tokenizer_of(sequences, lab_percentiles)
    report = report_vocabulary(sequences, tokenizer, VocabOptions(min_persons=1, uncovered_codes=1))
    assert report["size"] == len(tokenizer) and report["lab_bins"] == 4
    assert report["tokens_per_system"]["CPT"] == 2
    assert report["coverage"]["train"]["all"]["tokens_covered"] == 1
    assert report["coverage"]["test"]["CPT"] == {
        "tokens": 3,
        "persons": 2,
        "tokens_covered": 1 / 3,
        "persons_reached": 0.5,
        "persons_covered": 0.5,
    }
    assert report["drift"]["valid"] == {
        "CPT": -0.5, "GENDER": 0, "RACE": 0, "all": pytest.approx(-1 / 4),
    }  # fmt: skip
    assert report["largest_uncovered"] == [{"token": "CPT:NEW", "count": 2}]


def test_the_figure_shows_every_split(sequences, lab_percentiles):
    tokenizer = tokenizer_of(sequences, lab_percentiles)
    figure = plot_coverage(report_vocabulary(sequences, tokenizer, VocabOptions(min_persons=1)))
    assert [marks.name for marks in figure.data] == ["train", "valid", "test"]
    assert dict(zip(figure.data[2].y, figure.data[2].x, strict=True))["CPT"] == 1 / 3
    assert "least of CPT" in figure.layout.title.text


def test_without_a_test_split_the_figure_tells_of_another(sequences, lab_percentiles):
    tokenizer = tokenizer_of(sequences, lab_percentiles)
    rest = sequences.filter(sequences.split != "test")
    figure = plot_coverage(report_vocabulary(rest, tokenizer, VocabOptions(min_persons=1)))
    assert "of the valid split's tokens" in figure.layout.title.text
    nothing = report_vocabulary(sequences.limit(0), tokenizer, VocabOptions())
    assert plot_coverage(nothing).layout.title.text.startswith("<b>Vocabulary")


def test_there_are_no_bins_without_labs(as_table, sequences):
    nothing = as_table([], {"boundaries": "array<float64>"})
    tokenizer = tokenizer_of(sequences, nothing)
    assert tokenizer.init_kwargs["bin_labels"] == []
    assert words(tokenizer)[:4] == list(SPECIAL_TOKENS)
