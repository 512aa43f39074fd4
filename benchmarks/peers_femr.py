"""MOTOR of FEMR on the dataset of ``peers.py``, with FEMR's own functions; run with the Python that has it.

    python benchmarks/peers_femr.py DIR PLACE

FEMR asks for an ontology of Athena's files. Here they are empty, so each code stands alone. Pre-trains on the training
split and writes the features of every label, as MOTOR gives them at the last event at or before it, below PLACE.
"""

import sys
from pathlib import Path

import femr.featurizers
import femr.models.config
import femr.models.processor
import femr.models.tasks
import femr.models.tokenizer
import femr.models.transformer
import femr.ontology
import meds_reader
import pandas as pd
import torch
import transformers

ATHENA = {
    "CONCEPT": "concept_id concept_name vocabulary_id standard_concept concept_code",
    "CONCEPT_RELATIONSHIP": "concept_id_1 concept_id_2 relationship_id",
    "CONCEPT_ANCESTOR": "ancestor_concept_id descendant_concept_id min_levels_of_separation",
}
STEPS = 300
TOKENS = 2048


def empty_ontology(place: Path) -> femr.ontology.Ontology:
    """Return an ontology without any concept."""
    place.mkdir(exist_ok=True)
    for name, columns in ATHENA.items():
        (place / f"{name}.csv").write_text("\t".join(columns.split()) + "\n")
    return femr.ontology.Ontology(str(place))


def pretrain(
    database: meds_reader.SubjectDatabase, ontology: femr.ontology.Ontology, place: Path
) -> None:
    """Train a small MOTOR, and save it with its tokenizer."""
    tokenizer = femr.models.tokenizer.HierarchicalTokenizer.train(
        database, vocab_size=4096, ontology=ontology, num_numeric=1000, min_fraction=1e-4
    )
    tokenizer.save_pretrained(place)
    task = femr.models.tasks.MOTORTask.fit_pretraining_task_info(
        database, tokenizer, num_tasks=256, num_bins=8, final_layer_size=64, min_fraction=1e-4
    )
    processor = femr.models.processor.FEMRBatchProcessor(tokenizer, task)
    batches = processor.convert_dataset(database, tokens_per_batch=TOKENS, num_proc=4)
    batches.set_format("pt")
    shape = femr.models.config.FEMRTransformerConfig(
        vocab_size=tokenizer.vocab_size,
        is_hierarchical=True,
        hidden_size=128,
        intermediate_size=512,
        n_heads=4,
        n_layers=2,
        use_normed_ages=True,
        use_bias=False,
        hidden_act="swiglu",
    )
    config = femr.models.config.FEMRModelConfig.from_transformer_task_configs(
        shape, task.get_task_config()
    )
    torch.manual_seed(0)
    model = femr.models.transformer.FEMRModel(config)
    settings = transformers.TrainingArguments(
        output_dir=str(place / "steps"),
        per_device_train_batch_size=1,
        max_steps=STEPS,
        learning_rate=1e-3,
        warmup_steps=50,
        logging_steps=50,
        save_strategy="no",
        remove_unused_columns=False,
        prediction_loss_only=True,
        report_to="none",
        use_cpu=True,
    )
    trainer = transformers.Trainer(
        model=model, args=settings, train_dataset=batches, data_collator=processor.collate
    )
    trainer.train()
    model.save_pretrained(place)


def main() -> None:
    """Pre-train, and write features."""
    folder, place = map(Path, sys.argv[1:])
    database = meds_reader.SubjectDatabase(str(place / "reader"))
    splits = pd.read_parquet(folder / "meds" / "metadata" / "subject_splits.parquet")
    train = splits.loc[splits["split"] == "train", "subject_id"].tolist()
    ontology = empty_ontology(place / "athena")
    pretrain(database.filter(train), ontology, place / "model")
    labels = pd.read_parquet(folder / "labels").sort_values(["subject_id", "prediction_time"])
    torch.cuda.synchronize = lambda: None  # `compute_features` waits for a GPU that is not there
    found = femr.models.transformer.compute_features(
        database, str(place / "model"), labels.to_dict("records"), 4, TOKENS, ontology=ontology
    )
    joined = femr.featurizers.join_labels(found, labels)
    labels["features"] = list(joined["features"].astype("float32"))
    labels.to_parquet(place / "features.parquet", index=False)


if __name__ == "__main__":
    main()
