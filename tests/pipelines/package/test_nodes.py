"""What leaves the house is of enough persons, or does not leave."""

from types import SimpleNamespace

import ibis
import pytest

from clm_ler.corridor.labels import count_label_persons
from clm_ler.corridor.options import PreprocessOptions, VocabOptions
from clm_ler.files.kit import check_kit
from clm_ler.pipelines.package.artifacts import ARTIFACTS
from clm_ler.pipelines.package.floor import count_lab_persons
from clm_ler.pipelines.package.nodes import package_kit
from clm_ler.pipelines.package.options import PackageOptions
from clm_ler.pipelines.vocab.nodes import build_tokenizer
from clm_ler.tables.tasks.definition import Tasks

READING = PreprocessOptions(tables={})
TASK = {
    "name": "t",
    "events": {"flu": {"concept_set": "flu"}},
    "index": {"visits": ["OP"]},
    "outcome": {"event": "flu"},
}
LAB = {"system": "LOINC", "code": "1-8"}
RARE = {"system": "LOINC", "code": "2-6"}


def table(rows, **kinds):
    return ibis.memtable(rows, schema=kinds)


TOKENS = table(
    [
        ("ICD10CM:J45.0", 30, 12, 12),
        ("ICD10CM:J45.1", 9, 9, 9),
        ("LOINC:1-8:0-50", 8, 6, 6),
        ("LOINC:1-8:50-100", 8, 7, 5),
    ],
    token="string",
    count="int64",
    persons="int64",
    code_persons="int64",
)
PERCENTILES = ibis.memtable(
    [row | {"boundaries": [1.0]} for row in (LAB, RARE)],
    schema={"system": "string", "code": "string", "boundaries": "array<float64>"},
)
FITS, ODD = {"unit": "g", "status": "identity"}, {"unit": "odd", "status": "unconvertible"}
UNITS = ibis.memtable([LAB | FITS, LAB | ODD, RARE | FITS, RARE | ODD])
METRICS = {
    "tasks": {
        "t": {
            "samples": {"test": {"persons": 31, "classes": {"0": 40, "1": 20}}},
            "auroc": {"value": 0.7, "lower": 0.6, "upper": 0.8},
            "metrics": {"brier": {"value": 0.1, "lower": 0.1, "upper": 0.1}},
        }
    }
}


class Model:
    """What is asked of a model."""

    def __init__(self, tokenizer, **config):
        about = {"vocab_size": len(tokenizer), "model_type": "clm_ler", "tasks": ["t"]}
        self.config = SimpleNamespace(
            **(
                about
                | {"recalibration": [{"method": "platt", "at": [0.0], "to": [-0.5], "slope": 0.5}]}
                | config
            )
        )

    def num_parameters(self):
        return 1234

    def save_pretrained(self, folder):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")


def tokenizer(**options):
    chosen = VocabOptions(**({"min_persons": 11, "parent_systems": ["ICD10CM"]} | options))
    return build_tokenizer(TOKENS, PERCENTILES, chosen)


def samples(positives=10):
    rows = [
        (person, "t", split, int(person < positives))
        for split, first in (("train", 0), ("valid", 0), ("test", 0))
        for person in range(first, 31)
    ]
    return table(rows, person_id="int64", task="string", split="string", label="int64")


def lab_events():
    """Others have the rare lab, too: without a number, or in a unit that does not convert."""
    rows = [(person, *LAB.values(), "g", 1.0) for person in range(12)]
    rows += [(1, *LAB.values(), "odd", 1.0)]
    rows += [(person, *RARE.values(), "g", 1.0 if person < 9 else None) for person in range(20)]
    rows += [(person, *RARE.values(), "odd", 1.0) for person in range(12)]
    kinds = {"person_id": "int64"} | dict.fromkeys(("system", "code", "unit"), "string")
    return table(rows, **kinds, value="float64")


def pack(tasks=None, min_persons=10, labelled=None, reading=READING, **artifacts):
    words = artifacts.get("tokenizer") or tokenizer()
    splits = table([(p, "train") for p in range(40)], person_id="int64", split="string")
    encoded = {"split": ["train"] * 40, "input_ids": [[1]] * 40}
    made = {
        "tokenizer": words,
        "token_counts": TOKENS,
        "unit_conversions": UNITS,
        "lab_percentiles": PERCENTILES,
        "lab_events": lab_events(),
        "encoded_sequences": ibis.memtable(encoded).to_pyarrow(),
        "finetuned_model": Model(words),
        "finetune_metrics": METRICS,
    }
    given = dict.fromkeys(ARTIFACTS) | made | artifacts
    return package_kit(
        tasks,
        reading,
        PackageOptions(min_persons=min_persons),
        count_lab_persons(
            given["lab_events"],
            splits,
            given["unit_conversions"],
            given["lab_percentiles"],
            READING,
        ),
        count_label_persons(samples() if labelled is None else labelled),
        *given.values(),
    )


def test_a_kit_has_what_a_site_needs_and_rows_of_enough_persons_only():
    kit = pack()
    assert kit.parts["04_feature/tokenizer"].persons == 11  # of both bins of the lab
    units = kit.parts["04_feature/unit_conversions.parquet"]
    assert units.content.to_pylist() == [LAB | FITS, RARE | ODD]
    assert units.persons == 12
    percentiles = kit.parts["04_feature/lab_percentiles.parquet"].content
    assert percentiles.to_pylist() == [LAB | {"boundaries": [1.0]}]
    assert kit.parts["06_models/finetuned_model"].persons == 10  # whom its risks are calibrated on
    home = kit.parts["calibration.json"].content
    assert home["recalibration"][0]["method"] == "platt"
    assert home["test_split_at_home"]["t"]["events"] == 20
    assert "0.700 (0.600 to 0.800)" in kit.parts["README.md"].content
    assert kit.about["left_out"] == [
        "2 rows of unit_conversions that are not known to be of 10 persons",
        "1 rows of lab_percentiles that are not known to be of 10 persons",
    ]


def test_a_lab_of_texts_alone_is_of_those_who_have_them():
    rows = [(p, *of.values(), None, None, "POSITIVE") for p in range(15) for of in (LAB, RARE)]
    kinds = {"person_id": "int64"} | dict.fromkeys(("system", "code", "unit"), "string")
    texts = table(rows, **kinds, value="float64", text="string")
    events = lab_events().mutate(text=ibis.null("string")).union(texts)
    binned = ibis.memtable([RARE | {"boundaries": [1.0]}, LAB | {"boundaries": []}])
    kit = pack(lab_events=events, lab_percentiles=binned)
    part = kit.parts["04_feature/lab_percentiles.parquet"]
    assert part.content["code"].to_pylist() == [LAB["code"]]
    assert part.persons == 15


def test_it_is_written_and_is_what_its_inventory_says(tmp_path):
    pack().save_pretrained(tmp_path)
    assert check_kit(str(tmp_path))["tasks"] == ["t"]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"tokenizer": None}, "there is no `tokenizer`: run vocab first"),
        ({"lab_events": None}, "there is no `lab_events`: run preprocess first"),
        ({"finetuned_model": None}, "there is no model: run finetune, or pretrain, first"),
        (
            {"tokenizer": tokenizer(min_persons=1)},
            "1 of the 128 tokens of `tokenizer` are of fewer",
        ),
        ({"labelled": samples(9)}, "on 9 persons with class 1 of t, fewer than 10"),
        ({"labelled": samples(22)}, "on 9 persons with class 0 of t, fewer than 10"),
        ({"finetuned_model": Model(range(7))}, "is not the one that the model"),
        ({"tasks": Tasks([TASK, TASK | {"name": "u"}])}, "the model predicts t, not u"),
        (
            {"reading": PreprocessOptions(tables={}, results={"text_min_persons": 3})},
            "has texts of 3 persons",
        ),
    ],
)
def test_what_lacks_or_is_of_too_few_is_refused(made, told):
    if made.get("tokenizer", "other") is None:
        made = made | {"finetuned_model": Model(range(7))}
    with pytest.raises(ValueError, match=told):
        pack(**made)


def test_a_curve_of_risks_rests_on_its_bins():
    curve = {"method": "isotonic", "at": [-2.0, 0.0], "to": [-1.0, 0.0], "slope": 1.0}
    words = tokenizer()
    model = Model(words, recalibration=[curve])
    kit = pack(tokenizer=words, finetuned_model=model)
    assert kit.parts["06_models/finetuned_model"].persons == 10
    with pytest.raises(ValueError, match=r"bins of 10 persons .* fewer than 11"):
        pack(tokenizer=words, finetuned_model=model, min_persons=11, labelled=samples(15))


def test_risks_rest_on_whom_they_were_calibrated_on():
    few = samples(15).filter((ibis._.split != "valid") | (ibis._.person_id > 5))
    words = tokenizer()
    with pytest.raises(ValueError, match=r"risks calibrated on 9 persons with class 1 of t.*none"):
        pack(tokenizer=words, finetuned_model=Model(words), labelled=few)
    plain = Model(words, recalibration=[{"method": "none"}])
    kit = pack(tokenizer=words, finetuned_model=plain, labelled=few)
    assert kit.parts["06_models/finetuned_model"].persons == 40
    kit = pack(labelled=samples(15))
    assert kit.parts["06_models/finetuned_model"].persons == 15
    assert kit.parts["calibration.json"].persons == 15


def test_percentiles_of_risks_stay_where_they_are_of_too_few():
    words = tokenizer()
    model = Model(words, training_risks=[[0.1, 0.2]])
    pack(tokenizer=words, finetuned_model=model)
    assert model.config.training_risks
    kit = pack(tokenizer=words, finetuned_model=model, min_persons=11, labelled=samples(15))
    assert model.config.training_risks is None
    assert "between which there are 10 persons" in " ".join(kit.about["left_out"])


def test_measures_of_few_persons_are_not_told():
    few = samples().filter(ibis._.split == "train")
    assert pack(labelled=few).parts["calibration.json"].content["test_split_at_home"] == {}


def test_a_pretrained_model_alone_makes_a_kit():
    words = tokenizer()
    config = {"tasks": None, "recalibration": None}
    kit = pack(
        tokenizer=words,
        finetuned_model=None,
        pretrained_model=Model(words, **config),
        finetune_metrics=None,
        labelled=samples().limit(0),
    )
    assert "06_models/pretrained_model" in kit.parts
    assert "06_models/finetuned_model" not in kit.parts
    assert kit.about["tasks"] == []


@pytest.mark.parametrize("recorded", [TASK, [TASK, TASK | {"name": "u"}]])
@pytest.mark.parametrize("tasks", [Tasks(TASK), None])
def test_the_task_comes_from_the_parameters_or_from_the_run_that_made_the_labels(tasks, recorded):
    record = {"label": {"parameters": {"task": recorded}}}
    sets = {"flu": lambda: {"items": []}, "other": lambda: {"items": [1]}}
    kit = pack(tasks=tasks, run_record=record, concept_sets=sets)
    assert kit.parts["task.json"].content["outcome"] == {"event": "flu"}
    assert {name for name in kit.parts if "concept_sets" in name} == {"concept_sets/flu.json"}


def test_translations_go_with_it_where_it_is_known_of_how_many_persons_they_are():
    found = ibis.memtable(
        [{"source_system": "X", "source_code": code, "vocab_token": "t"} for code in "ab"]
    )
    codes = ibis.memtable(
        [{"system": "X", "code": c, "persons": n} for c, n in (("a", 10), ("b", 9))]
    )
    place = "04_feature/code_translations.parquet"
    part = pack(code_translations=found, source_codes=codes).parts[place]
    assert part.content["source_code"].to_pylist() == ["a"]
    assert part.persons == 10
    assert place not in pack(code_translations=found, source_codes=codes.drop("persons")).parts


def test_what_predictions_rest_on_is_told_of_enough_persons():
    rows = [{"token": c, "name": c, "persons": n, "weight": 0.5} for c, n in (("a", 10), ("b", 9))]
    place = "08_reporting/contribution_summary.parquet"
    part = pack(contribution_summary=ibis.memtable(rows)).parts[place]
    assert part.content.to_pylist() == [{"token": "a", "persons": 10, "weight": 0.5}]


def test_the_hybrid_stays_at_home():
    hybrid = SimpleNamespace(outputs=("one",))
    assert "hybrid head" in pack(hybrid_head=hybrid).about["left_out"][-1]
