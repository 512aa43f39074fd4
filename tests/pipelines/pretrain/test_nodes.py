from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError
from transformers import AutoModelForMaskedLM, AutoTokenizer

from clm_ler.modeling.loading import load_model
from clm_ler.modeling.objectives import OBJECTIVES
from clm_ler.modeling.training.checkpoints import ChangedRunError
from clm_ler.pipelines.pretrain import nodes
from clm_ler.pipelines.pretrain.card import write_card
from clm_ler.pipelines.pretrain.figures import plot_curves
from clm_ler.pipelines.pretrain.options import PretrainOptions
from clm_ler.pipelines.pretrain.pipeline import create_pipeline
from tests.modeling.records import records, tokenizer

pytestmark = pytest.mark.slow  # it trains models

TINY = {
    "preset": "toy",
    "presets": {
        "toy": {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "override_maxlen": 32,
            "max_position_embeddings": 400,
            "attention_window": 4,
            "tokens_per_batch": 512,
            "max_steps": 6,
            "eval_steps": 3,
            "logging_steps": 2,
            "learning_rate": 0.01,
        }
    },
}


def options(**changes: Any) -> PretrainOptions:
    return PretrainOptions(**(TINY | {"checkpoints": ""} | changes))


def run(
    directory: Path, data: pa.Table, inputs: Mapping[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """Return inputs and outputs of all nodes, run one after the other; changes are of the options."""
    values = {
        "encoded_sequences": data,
        "tokenizer": tokenizer(),
        "parent_model": None,
        "parent_tokenizer": None,
        "pretrain_workspace": directory,
        "params:pretrain": options(**changes),
        "params:seed": 1,
        **(inputs or {}),
    }
    for node in create_pipeline().nodes:
        values |= node.run({name: values[name] for name in node.inputs})
    return values


@pytest.fixture(scope="module")
def data() -> pa.Table:
    return records()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def outputs(directory: Path, data: pa.Table) -> dict[str, Any]:
    """The pipeline, run once."""
    return run(directory, data)


def test_the_metrics_say_how_good_against_what_and_how_fast(outputs: dict[str, Any]) -> None:
    metrics, history = outputs["pretrain_metrics"], outputs["pretrain_history"]
    for split in ("valid", "test"):
        result = metrics[split]
        assert result["persons"] == 12
        assert set(result["baselines"]) == {"unigram", "unigram_in_system", "own_history"}
        for scores in (result, *result["baselines"].values()):
            assert set(scores["accuracy"]) == {"top1", "top5", "top10"}
            assert set(scores["by_system"]) == {"ICD10CM", "LOINC"}
            assert scores["lab_bins"]["exact"] <= scores["lab_bins"]["within_one"]
        assert {scores["n"] for scores in (result, *result["baselines"].values())} == {result["n"]}
    assert metrics["training"]["steps"] == 6 and metrics["training"]["tokens_per_second"] > 0
    assert [entry["step"] for entry in history if "eval_loss" in entry] == [3, 6]
    best = min(entry["eval_loss"] for entry in history if "eval_loss" in entry)
    assert metrics["valid"]["total_loss"] == pytest.approx(best)


def test_masked_language_modelling_has_no_targets_but_the_labs(data: pa.Table) -> None:
    targets = nodes.fit_targets(data, tokenizer(), options(objective="mlm")).to_pyarrow()
    assert targets.column_names == ["target", "token_id", "kind", "persons", "events", "log_rates"]
    assert targets["target"].to_pylist() == ["LOINC:4548-4"]
    assert targets["kind"].to_pylist() == ["lab"]
    alone = options(objective="mlm", lab_bin_rows=False)
    assert nodes.fit_targets(data, tokenizer(), alone).to_pyarrow().num_rows == 0


def test_codes_and_extremes_of_labs_are_targets_by_their_persons(outputs: dict[str, Any]) -> None:
    targets = outputs["pretrain_targets"].to_pyarrow().to_pandas()
    assert set(targets["kind"]) == {"code", "low", "lab"}  # no bin of the toy is the highest
    predicted = targets[targets["kind"] != "lab"]
    assert (predicted["persons"] >= 10).all() and predicted["persons"].is_monotonic_decreasing
    assert (predicted["log_rates"].map(len) == len(options().event_edges)).all()
    assert outputs["trained_model"].config.event_targets == len(predicted)


def test_the_model_knows_which_tokens_are_ages(outputs: dict[str, Any], tmp_path: Path) -> None:
    outputs["trained_model"].save_pretrained(tmp_path)
    ages = load_model(tmp_path).base_model.embeddings.age_of_code
    ids = tokenizer().get_vocab()
    assert [int(ages[ids[word]]) for word in ("AGE:0", "AGE:40", "[CLS]")] == [1, 41, 0]
    assert outputs["trained_model"].config.query_person


def test_the_pipeline_ends_with_a_figure(outputs: dict[str, Any]) -> None:
    figure = outputs["pretrain_curves"]
    charts = {*OBJECTIVES[options().objective].charts.values()}
    assert charts <= {note.text for note in figure.layout.annotations}
    assert [trace.name for trace in figure.data] == ["training", *["validation"] * len(charts)]
    assert all(len(trace.x) for trace in figure.data)


def test_a_finished_training_is_measured_anew_but_not_repeated(
    outputs: dict[str, Any], directory: Path, data: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "launch", lambda *_: pytest.fail("it trained again"))
    again = run(directory, data, save_total_limit=7)
    for name in ("pretrain_metrics", "pretrain_history"):
        assert again[name] == outputs[name]
    assert again["pretrained_model"].card == outputs["pretrained_model"].card
    fewer = run(directory, data, eval_persons=3)
    assert fewer["pretrain_metrics"]["valid"]["persons"] == 3


def test_a_site_without_laboratory_results_has_no_lab_bins(data: pa.Table, tmp_path: Path) -> None:
    place = data.schema.get_field_index("token_type_ids")
    none = pa.array([[0] * len(ids) for ids in data["input_ids"].to_pylist()], pa.list_(pa.uint8()))
    without = data.set_column(place, "token_type_ids", none)
    metrics = run(tmp_path, without, {"tokenizer": tokenizer(bins=0)})["pretrain_metrics"]
    assert "lab_bins" not in metrics["valid"]
    assert metrics["valid"]["joint_loss"] == metrics["valid"]["loss"]


def test_another_training_in_its_place_has_its_own_metrics(data: pa.Table, tmp_path: Path) -> None:
    first = run(tmp_path, data)["pretrain_metrics"]
    changes = {"learning_rate": 0.001, "overwrite": True}
    second = run(tmp_path, data, **changes)["pretrain_metrics"]
    alone = run(tmp_path / "other", data, **changes)["pretrain_metrics"]
    assert second["valid"] == alone["valid"] != first["valid"]


def test_what_changed_is_refused_with_the_way_out(
    outputs: dict[str, Any], directory: Path, data: pa.Table
) -> None:
    with pytest.raises(
        ChangedRunError, match=r"learning_rate: 0.01 -> 0.02.*pretrain\.overwrite=true"
    ):
        run(directory, data, learning_rate=0.02)
    with pytest.raises(ChangedRunError, match=r"data\.digest.*pretrain\.checkpoints=DIRECTORY"):
        run(directory, records(seed=9))
    with pytest.raises(ChangedRunError, match="seed: 1 -> 2"):
        run(directory, data, {"params:seed": 2})
    parent = {"parent_model": outputs["trained_model"], "parent_tokenizer": tokenizer()}
    with pytest.raises(ChangedRunError, match="parent: None -> "):
        run(directory, data, parent)


def test_the_model_directory_explains_itself(
    outputs: dict[str, Any], directory: Path, data: pa.Table, tmp_path: Path
) -> None:
    run(directory, data, license="apache-2.0")["pretrained_model"].save_pretrained(tmp_path)
    assert AutoModelForMaskedLM.from_pretrained(tmp_path).config.vocab_size == len(tokenizer())
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == tokenizer().get_vocab()
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\n") and "\nlicense: apache-2.0\n" in card.split("---")[1]
    for text in (
        "36 persons in `train`",
        "masked language modelling",
        "nats per coming event",
        "own_history",
        "| `learning_rate` | 0.01 |",
        "## Intended use",
    ):
        assert text in card
    suffixes = {path.suffix for path in tmp_path.iterdir()}
    assert suffixes == {".json", ".safetensors", ".md"}


def test_the_card_does_not_count_few_persons(outputs: dict[str, Any], data: pa.Table) -> None:
    few = data.filter(pc.equal(data["split"], "train")).slice(0, 3)
    metrics = {"valid": outputs["pretrain_metrics"]["valid"] | {"persons": 9}}
    card = write_card(outputs["trained_model"], metrics, options(), few)
    assert "fewer than 10 persons in `train`" in card
    assert "On fewer than 10 persons of the `valid` split" in card and "too few to tell" in card
    assert "nats" not in card


@pytest.mark.parametrize("model_type", ["bert", "longformer"])
def test_the_published_flavours_go_through_the_same_pipeline(
    model_type: str, data: pa.Table, tmp_path: Path
) -> None:
    found = run(tmp_path / "run", data, model_type=model_type, max_steps=2, eval_steps=2)
    assert "lab_bins" not in found["pretrain_metrics"]["valid"]
    found["pretrained_model"].save_pretrained(tmp_path / "model")
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "model").config.model_type == model_type


def test_a_model_is_continued_with_a_vocabulary_that_grew(
    outputs: dict[str, Any], data: pa.Table, tmp_path: Path
) -> None:
    inputs = {
        "parent_model": outputs["trained_model"],
        "parent_tokenizer": tokenizer(),
        "tokenizer": tokenizer(("ICD10CM:new",)),
    }
    later = run(tmp_path, data, inputs, max_steps=1, learning_rate=1e-9)
    assert later["trained_model"].config.vocab_size == len(tokenizer()) + 1
    before = outputs["pretrain_metrics"]["valid"]["loss"]
    assert later["pretrain_metrics"]["valid"]["loss"] == pytest.approx(before, abs=0.05)


def test_a_preset_gives_what_is_not_set() -> None:
    assert options().hidden_size == 16
    assert options(hidden_size=32).hidden_size == 32
    with pytest.raises(ValidationError, match="preset must be one of toy"):
        options(preset="huge")
    with pytest.raises(ValidationError, match="relative_key_query"):
        options(position_embedding_type="relative_key_query")
    with pytest.raises(ValidationError, match="at most 1"):
        options(masking_fraction=0.95)
    with pytest.raises(ValidationError, match="varlen is for model_type clm_ler"):
        options(attention="varlen", model_type="bert")
    with pytest.raises(ValidationError, match="objective must be one of mlm"):
        options(objective="unknown")
    for objective, model_type in (("tte", "bert"), ("mlm+tte", "longformer")):
        with pytest.raises(ValidationError, match="is for model_type clm_ler; set mlm"):
            options(objective=objective, model_type=model_type)
    assert options(model_type="bert").objective == "mlm"
    days = {"model_type": "bert"}, {"time_encoding": "day_embedding"}, {}
    bare = {"preset": "bare", "presets": {"bare": {}}, "checkpoints": ""}
    found = [PretrainOptions(**bare, **chosen) for chosen in days]
    assert [one.max_position_embeddings for one in found] == [1825, 1825, 36_500]
    assert options(objective="mlm").pooling == "mean" and options().pooling == "query+labs"
    with pytest.raises(ValidationError, match="for an objective with a query"):
        options(objective="mlm", pooling="query")
    with pytest.raises(ValidationError, match="event_edges must be days that rise from 0"):
        options(event_edges=(0, 30, 7))
    with pytest.raises(ValidationError, match="unknown_name"):
        options(unknown_name=1)


def test_curves_need_no_history() -> None:
    empty = {"valid": {"baselines": {}}}
    assert len(plot_curves([], empty, options(objective="mlm")).data) == 3
    assert len(plot_curves([], empty, options()).data) == 6
