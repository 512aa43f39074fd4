from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner
from pydantic import ValidationError
from transformers import AutoModelForMaskedLM, AutoTokenizer

from clm_ler.modeling.training.checkpoints import ChangedRunError
from clm_ler.pipelines.pretrain import nodes
from clm_ler.pipelines.pretrain.fingerprint import hash_content
from clm_ler.pipelines.pretrain.nodes import local_directory, plot_curves, pretrain_model
from clm_ler.pipelines.pretrain.options import PretrainOptions
from clm_ler.pipelines.pretrain.pipeline import create_pipeline
from tests.modeling.records import records, tokenizer

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


def options(directory: Path, **changes: Any) -> PretrainOptions:
    return PretrainOptions(**(TINY | {"checkpoints": str(directory)} | changes))


@pytest.fixture(scope="module")
def data() -> pa.Table:
    return records()


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory, data: pa.Table) -> dict[str, Any]:
    """The pipeline, run once."""
    directory = tmp_path_factory.mktemp("checkpoints")
    catalog = DataCatalog.from_config({})
    inputs = {"encoded_sequences": data, "tokenizer": tokenizer(), "params:seed": 1}
    for name, value in (inputs | {"params:pretrain": options(directory)}).items():
        catalog[name] = value
    results = SequentialRunner().run(create_pipeline(), catalog)
    return {name: dataset.load() for name, dataset in results.items()} | {"directory": directory}


def run_again(outputs: dict[str, Any], data: pa.Table, seed: int = 1, **changes: Any) -> Any:
    return pretrain_model(data, tokenizer(), options(outputs["directory"], **changes), seed)


def test_the_metrics_say_how_good_against_what_and_how_fast(data: pa.Table, tmp_path: Path) -> None:
    _, metrics, history = pretrain_model(data, tokenizer(), options(tmp_path), 1)
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
    assert metrics["valid"]["joint_loss"] == pytest.approx(best)


def test_the_pipeline_ends_with_a_figure(outputs: dict[str, Any]) -> None:
    assert [trace.name for trace in outputs["pretrain_curves"].data] == [
        "loss",
        "eval_loss",
        "eval_accuracy",
    ]


def test_a_finished_training_is_not_repeated(
    outputs: dict[str, Any], data: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_again(outputs, data)
    monkeypatch.setattr(nodes, "launch", lambda *_: pytest.fail("it trained again"))
    monkeypatch.setattr(nodes, "measure_model", lambda *_: pytest.fail("it measured again"))
    described, metrics, history = run_again(outputs, data, save_total_limit=7)
    assert (metrics, history, described.card) == (first[1], first[2], first[0].card)


def test_a_site_without_laboratory_results_has_no_lab_bins(data: pa.Table, tmp_path: Path) -> None:
    place = data.schema.get_field_index("token_type_ids")
    none = pa.array([[0] * len(ids) for ids in data["input_ids"].to_pylist()], pa.list_(pa.uint8()))
    without = data.set_column(place, "token_type_ids", none)
    _, metrics, _ = pretrain_model(without, tokenizer(bins=0), options(tmp_path), 1)
    assert "lab_bins" not in metrics["valid"]
    assert metrics["valid"]["joint_loss"] == metrics["valid"]["loss"]


def test_another_training_in_its_place_has_its_own_metrics(data: pa.Table, tmp_path: Path) -> None:
    _, first, _ = pretrain_model(data, tokenizer(), options(tmp_path), 1)
    changes = {"learning_rate": 0.001, "overwrite": True}
    _, second, _ = pretrain_model(data, tokenizer(), options(tmp_path, **changes), 1)
    _, alone, _ = pretrain_model(data, tokenizer(), options(tmp_path / "other", **changes), 1)
    assert second["valid"] == alone["valid"] != first["valid"]


def test_what_changed_is_refused_with_the_way_out(outputs: dict[str, Any], data: pa.Table) -> None:
    with pytest.raises(
        ChangedRunError, match=r"learning_rate: 0.01 -> 0.02.*pretrain\.overwrite=true"
    ):
        run_again(outputs, data, learning_rate=0.02)
    with pytest.raises(ChangedRunError, match=r"data\.sha256.*pretrain\.checkpoints=DIRECTORY"):
        run_again(outputs, records(seed=9))
    with pytest.raises(ChangedRunError, match="seed: 1 -> 2"):
        run_again(outputs, data, seed=2)


def test_the_model_directory_explains_itself(data: pa.Table, outputs, tmp_path: Path) -> None:
    described, _, _ = run_again(outputs, data, license="apache-2.0")
    described.save_pretrained(tmp_path)
    assert AutoModelForMaskedLM.from_pretrained(tmp_path).config.vocab_size == len(tokenizer())
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == tokenizer().get_vocab()
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\n") and "\nlicense: apache-2.0\n" in card.split("---")[1]
    for text in (
        "36 persons in `train`",
        "own_history",
        "| `learning_rate` | 0.01 |",
        "## Intended use",
    ):
        assert text in card
    suffixes = {path.suffix for path in tmp_path.iterdir()}
    assert suffixes == {".json", ".safetensors", ".md"}


@pytest.mark.parametrize("model_type", ["bert", "longformer"])
def test_the_published_flavours_go_through_the_same_pipeline(
    model_type: str, data: pa.Table, tmp_path: Path
) -> None:
    chosen = options(tmp_path / "run", model_type=model_type, max_steps=2, eval_steps=2)
    described, metrics, _ = pretrain_model(data, tokenizer(), chosen, 1)
    assert "lab_bins" not in metrics["valid"]
    described.save_pretrained(tmp_path / "model")
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "model").config.model_type == model_type


def test_a_model_is_continued_with_a_vocabulary_that_grew(
    outputs: dict[str, Any], data: pa.Table, tmp_path: Path
) -> None:
    described, metrics, _ = run_again(outputs, data)
    described.save_pretrained(tmp_path / "earlier")
    chosen = options(
        tmp_path / "run", input_model=str(tmp_path / "earlier"), max_steps=1, learning_rate=1e-9
    )
    again, later, _ = pretrain_model(data, tokenizer(("ICD10CM:new",)), chosen, 1)
    assert again.model.config.vocab_size == len(tokenizer()) + 1
    assert later["valid"]["loss"] == pytest.approx(metrics["valid"]["loss"], abs=0.05)


def test_content_is_what_is_hashed_not_its_chunks() -> None:
    table = records(20)
    assert hash_content(pa.concat_tables([table.slice(0, 7), table.slice(7)])) == hash_content(
        table
    )
    for name in table.column_names:
        other = (
            records(20, seed=1)[name]
            if name != "split"
            else table[name].take(list(range(19, -1, -1)))
        )
        if name == "person_id":
            other = pa.chunked_array([pa.array(range(1, 21), pa.int64())])
        changed = table.set_column(table.column_names.index(name), name, other)
        assert hash_content(changed) != hash_content(table), name


def test_a_preset_gives_what_is_not_set(tmp_path: Path) -> None:
    assert options(tmp_path).hidden_size == 16
    assert options(tmp_path, hidden_size=32).hidden_size == 32
    with pytest.raises(ValidationError, match="preset must be one of toy"):
        options(tmp_path, preset="huge")
    with pytest.raises(ValidationError, match="relative_key_query"):
        options(tmp_path, position_embedding_type="relative_key_query")
    with pytest.raises(ValidationError, match="at most 1"):
        options(tmp_path, masking_fraction=0.95)
    with pytest.raises(ValidationError, match="varlen is for model_type clm_ler"):
        options(tmp_path, attention="varlen", model_type="bert")


def test_checkpoints_stay_local_where_the_storage_is_not() -> None:
    assert local_directory("s3://bucket/06_models/checkpoints") == Path(
        "data/06_models/checkpoints"
    )
    assert local_directory("/somewhere") == Path("/somewhere")


def test_curves_need_no_history() -> None:
    assert len(plot_curves([], {"valid": {"baselines": {}}}).data) == 3
