"""Peers beside this project: one MEDS dataset, the same labels, the same rows held out.

    python benchmarks/peers.py --folder DIR [--persons 5000] [--peers clm_ler meds_tab cehrbert pyhealth femr]

Writes the simulated hospital as a MEDS dataset with the labels of `diabetes_1y`, and runs each system on it with its
own commands, the peers in environments of their own below DIR, made from the package index on demand. A peer that
does not install or run is told with the last line that it wrote. Prints what each reaches on the rows held out, with
95 % intervals over persons, and the difference to this project's model; then time, memory and disk.

What is there already in DIR is not made again: remove a peer's folder to run it again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from timing import PROJECT

from clm_ler.files.atomic import read_json, write_json
from clm_ler.modeling.evaluation.bootstrap import patient_weights, unit_weights, weighted_metrics
from clm_ler.modeling.evaluation.probes import fit_probe

KEY = ["subject_id", "prediction_time"]
SPLITS = {"train": "train", "valid": "tuning", "test": "held_out"}
HERE = Path(__file__).parent
OLD = ["numpy<2", "pyarrow<20"]  # a newer pyarrow asks for NumPy 2
REQUIREMENTS = {
    "meds_tab": ["meds-tab==0.2.0"],
    "cehrbert": ["cehrbert==1.5.0", *OLD],
    "pyhealth": ["pyhealth==1.1.6", "torch==2.13.0", "setuptools<81", "mne<1.8", *OLD],
    "femr": [
        "femr==0.2.4",
        "torch==2.13.0",
        "einops",
        "transformers<5",
        "datasets<4",
        "pandas<3",
        *OLD,
    ],
}
# Its own aggregations but `static/first`, which asks for static events with a number: here there is none.
AGGREGATIONS = "static/present,code/count,value/count,value/sum,value/sum_sqd,value/min,value/max"
CEHRBERT = {
    "is_data_in_meds": True,
    "att_function_type": "cehr_bert",
    "include_auxiliary_token": True,
    "preprocessing_num_workers": 2,
    "preprocessing_batch_size": 1000,
    "validation_split_num": 100,
    "min_frequency": 5,
    "include_values": True,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "max_position_embeddings": 256,
    "do_train": True,
    "seed": 42,
    "use_cpu": True,
    "use_early_stopping": False,
    "save_strategy": "no",
    "learning_rate": 5e-4,
    "per_device_train_batch_size": 8,
    "per_device_eval_batch_size": 8,
    "max_steps": 300,
    "warmup_steps": 50,
    "weight_decay": 0.01,
    "logging_steps": 50,
    "dataloader_num_workers": 0,
    "report_to": "none",
}


class Failed(Exception):
    """A command of a system that did not end well; the text is the last line that it wrote."""


def write_dataset(storage: Path, folder: Path) -> None:
    """Write the events of a storage as MEDS: a lab's unit stands in its code, as in MIMIC's form."""
    connection = duckdb.connect()

    def rows(name: str) -> str:
        return f"read_parquet('{storage}/03_primary/{name}/**/*.parquet')"

    events = f"""
        SELECT person_id AS subject_id, birth_date::TIMESTAMP AS time, 'MEDS_BIRTH' AS code,
          NULL::FLOAT AS numeric_value FROM {rows("demographics")}
        UNION ALL SELECT person_id, NULL, 'GENDER//' || gender, NULL FROM {rows("demographics")}
        UNION ALL SELECT person_id, NULL, 'RACE//' || race, NULL FROM {rows("demographics")}
        UNION ALL SELECT person_id, time::TIMESTAMP, system || '//' || code, NULL FROM {rows("coded_events")}
        UNION ALL SELECT person_id, time::TIMESTAMP,
          'LAB//' || system || '//' || code || coalesce('//' || unit, ''), value::FLOAT
          FROM {rows("lab_events")} WHERE value IS NOT NULL"""
    labels = f"""
        SELECT person_id AS subject_id, prediction_time::TIMESTAMP AS prediction_time, label = 1 AS boolean_value
        FROM {rows("labels")}"""
    connection.sql(f"CREATE TABLE events AS SELECT * FROM ({events}) WHERE code IS NOT NULL")
    connection.sql(f"CREATE TABLE labels AS {labels}")
    connection.sql(
        f"CREATE TABLE splits AS SELECT person_id AS subject_id, split FROM {rows('person_splits')}"
    )
    for ours, theirs in SPLITS.items():
        of_split = f"JOIN (SELECT subject_id FROM splits WHERE split = '{ours}') USING (subject_id)"
        for table, place, order in (
            ("events", folder / "meds" / "data", "subject_id, time NULLS FIRST, code"),
            ("labels", folder / "labels", "subject_id, prediction_time"),
        ):
            (place / theirs).mkdir(parents=True, exist_ok=True)
            query = f"SELECT * FROM {table} {of_split} ORDER BY {order}"
            connection.sql(f"COPY ({query}) TO '{place / theirs / '0.parquet'}'")
    metadata = folder / "meds" / "metadata"
    metadata.mkdir(exist_ok=True)
    cases = " ".join(f"WHEN '{ours}' THEN '{theirs}'" for ours, theirs in SPLITS.items())
    splits = f"SELECT subject_id, CASE split {cases} END AS split FROM splits ORDER BY subject_id"
    connection.sql(f"COPY ({splits}) TO '{metadata / 'subject_splits.parquet'}'")
    codes = "SELECT DISTINCT code, NULL::TEXT AS description, NULL::TEXT[] AS parent_codes FROM events ORDER BY code"
    connection.sql(f"COPY ({codes}) TO '{metadata / 'codes.parquet'}'")
    write_json(metadata / "dataset.json", {"dataset_name": "simulated", "meds_version": "0.4.0"})


def environment(name: str, folder: Path) -> Path:
    """Return the programs of an environment that has a peer."""
    place = folder / "environments" / name
    if not (place / "installed").exists():
        venv.create(place, clear=True, with_pip=True)
        run([place / "bin" / "pip", "install", "--quiet", *REQUIREMENTS[name]], folder)
        (place / "installed").touch()
    return place / "bin"


def run(command: Sequence[object], place: Path, programs: Path | None = None) -> None:
    """Run a command in the project's folder, with its output in ``log.txt`` of a place."""
    path = [str(programs)] if programs else []
    variables = {
        "PATH": os.pathsep.join([*path, os.environ["PATH"]]),
        "HF_HOME": str(place / "cache"),
    }
    words = [str(word) for word in command]
    with (place / "log.txt").open("a") as log:
        done = subprocess.run(
            words, stdout=log, stderr=log, cwd=PROJECT, env=os.environ | variables
        )
    if done.returncode:
        lines = (place / "log.txt").read_text().strip().splitlines()
        raise Failed(f"{Path(words[0]).name}: {lines[-1] if lines else done.returncode}")


def kedro_run(place: Path, pipelines: str, parameters: str, *more: str) -> None:
    """Run pipelines of this project."""
    kedro = Path(sys.executable).with_name("kedro")
    run([kedro, "run", f"--pipelines={pipelines}", f"--params={parameters}", *more], place)


def clm_ler(folder: Path, place: Path) -> dict[str, pd.DataFrame]:
    """Run this project; returns the risks of its model and of its hybrid."""
    given = f"meds_root={folder}/meds,labels_root={folder}/labels"
    trained, predicted = place / "trained", place / "predicted"
    train = f"{given},storage={trained},finetune.head=hybrid"
    kedro_run(place, "split,preprocess,vocab,pretrain,finetune", train, "--env=meds")
    predict = f"{given},label_split=held_out,trained={trained},storage={predicted}"
    kedro_run(place, "predict", predict, "--env=meds")
    columns = {"person_id": "subject_id"}
    output = predicted / "07_model_output"
    found = {}
    for name, table in (("clm_ler", "predictions"), ("clm_ler hybrid", "hybrid_predictions")):
        risks = pd.concat(map(pd.read_parquet, (output / table).glob("*.parquet")))
        found[name] = risks.rename(columns=columns).assign(
            risk=risks["probabilities"].map(lambda both: both[1])
        )
    return found


def meds_tab(folder: Path, place: Path) -> dict[str, pd.DataFrame]:
    """Run MEDS-Tab: its default windows, ten trials of XGBoost chosen on the tuning split."""
    programs = environment("meds_tab", folder)
    data, tables, labels = folder / "meds" / "data", place / "tables", folder / "labels"
    # Left to itself the search leaves out all codes in nearly every trial.
    chosen = [
        f"tabularization.aggs=[{AGGREGATIONS}]",
        "tabularization.max_included_codes=500",
        "tabularization.min_code_inclusion_count=null",
    ]
    given = [f"input_dir={data}", f"output_dir={tables}"]
    run(["meds-tab-describe", *given], place, programs)
    for kind in ("static", "time-series"):
        wanted = [*given, f"input_label_dir={labels}", *chosen]
        run([f"meds-tab-tabularize-{kind}", *wanted], place, programs)
    search = {
        "task_name": "null",
        "output_model_dir": place / "results",
        "input_tabularized_cache_dir": tables / "tabularize",
        "input_label_cache_dir": labels,
        "hydra.sweeper.n_trials": 10,
        "hydra.sweeper.n_jobs": 1,
    }
    options = [f"{name}={value}" for name, value in search.items()]
    run(["meds-tab-xgboost", "--multirun", *given, *chosen, *options], place, programs)
    best = next((place / "results").glob("**/best_trial"))
    risks = pd.read_parquet(best / "held_out_predictions.parquet")
    return {"MEDS-Tab": risks.rename(columns={"predicted_boolean_probability": "risk"})}


def cehrbert(folder: Path, place: Path) -> dict[str, pd.DataFrame]:
    """Run CEHR-BERT: pre-training, its frozen features, and our logistic regression on them."""
    programs = environment("cehrbert", folder)
    reader = place / "reader"
    run(["meds_reader_convert", folder / "meds", reader, "--num_threads", 2], place, programs)
    given = {"data_folder": reader, "dataset_prepared_path": place / "prepared"}
    model = place / "model"
    given |= {"tokenizer_name_or_path": model, "output_dir": model}
    # A folder that is there already, with a tokenizer only, would give a model of its default size.
    given |= {"model_name_or_path": place / "new"}
    run_python(programs, "cehrbert.runners.hf_cehrbert_pretrain_runner", CEHRBERT | given, place)
    # Its way from MEDS to rows with a label stops at a date that it made a number: it reads its own tokens instead.
    cohort = place / "cohort"
    cohort.mkdir(exist_ok=True)
    labels = pd.read_parquet(folder / "labels").sort_values("prediction_time")
    labels.to_parquet(cohort / "labels.parquet", index=False)
    tokens = next(
        p for p in (place / "prepared").glob("reader_*") if p.name != "reader_meds_extension"
    )
    given |= {"model_name_or_path": model, "cohort_folder": cohort}
    given |= {"tokenized_full_dataset_path": tokens}
    given |= {"output_dir": place / "features", "average_over_sequence": True}
    run_python(programs, "cehrbert.linear_prob.compute_cehrbert_features", CEHRBERT | given, place)
    rows = pd.concat(map(pd.read_parquet, (place / "features").glob("**/*.parquet")))
    # Its times are seconds in 32 bits: up to a minute beside the label's.
    times = pd.to_datetime(rows["prediction_time_posix"], unit="s")
    rows["prediction_time"] = times.astype(labels["prediction_time"].dtype)
    rows = rows[[*KEY, "features"]].sort_values("prediction_time")
    nearest = pd.merge_asof(
        labels, rows, on="prediction_time", by="subject_id", direction="nearest"
    )
    return {"CEHR-BERT": probed(nearest, folder)}


def pyhealth(folder: Path, place: Path) -> dict[str, pd.DataFrame]:
    """Run PyHealth: its Transformer and its RETAIN, trained on the labels."""
    programs = environment("pyhealth", folder)
    run([programs / "python", HERE / "peers_pyhealth.py", folder, place], place)
    models = ("Transformer", "RETAIN")
    return {f"PyHealth {model}": pd.read_parquet(place / f"{model}.parquet") for model in models}


def femr(folder: Path, place: Path) -> dict[str, pd.DataFrame]:
    """Run FEMR: a small MOTOR, its frozen features, and our logistic regression on them."""
    programs = environment("femr", folder)
    reader = place / "reader"
    run(["meds_reader_convert", folder / "meds", reader, "--num_threads", 2], place, programs)
    run([programs / "python", HERE / "peers_femr.py", folder, place], place)
    return {"MOTOR": probed(pd.read_parquet(place / "features.parquet"), folder)}


def probed(rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return the held-out rows with the risks of a logistic regression on frozen features."""
    splits = pd.read_parquet(folder / "meds" / "metadata" / "subject_splits.parquet")
    parts = {split: part for split, part in rows.merge(splits, on="subject_id").groupby("split")}
    features = {split: np.stack(part["features"].to_list()) for split, part in parts.items()}
    labels = {split: part["boolean_value"].to_numpy(int) for split, part in parts.items()}
    train, tuning = ((features[split], labels[split]) for split in ("train", "tuning"))
    grid = {"C": [10.0**power for power in range(-6, 3)]}
    probe = fit_probe("standardised", grid, train, tuning)
    return parts["held_out"].assign(risk=probe.predict(features["held_out"]))


def run_python(programs: Path, module: str, settings: dict[str, Any], place: Path) -> None:
    """Run a module on a file of settings."""
    file = place / f"{module.rpartition('.')[2]}.json"
    file.write_text(json.dumps(settings, default=str))
    run([programs / "python", "-m", module, file], place, programs)


SYSTEMS: dict[str, Callable[[Path, Path], dict[str, pd.DataFrame]]] = {
    "clm_ler": clm_ler,
    "meds_tab": meds_tab,
    "cehrbert": cehrbert,
    "pyhealth": pyhealth,
    "femr": femr,
}


def measured(name: str, folder: Path) -> dict[str, Any]:
    """Run a system once, in a process of its own; returns what it cost. Its risks are kept in its folder."""
    place = folder / name
    if (place / "cost.json").exists():
        return read_json(place / "cost.json")
    place.mkdir(exist_ok=True)
    if name in REQUIREMENTS:
        environment(name, folder)  # not part of the time
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    risks = SYSTEMS[name](folder, place)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for model, rows in risks.items():
        rows[[*KEY, "risk"]].to_parquet(place / f"{model}.risks.parquet", index=False)
    cost = {
        "minutes": (time.perf_counter() - started) / 60,
        "CPU minutes": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60,
        "largest process, GiB": after.ru_maxrss / 2**20,
        "disk, GiB": sum(f.stat().st_size for f in place.rglob("*") if f.is_file()) / 2**30,
    }
    write_json(place / "cost.json", cost)
    return cost


def compare(folder: Path, names: Sequence[str]) -> None:
    """Print AUROC, AUPRC and Brier score of each model on the rows that all have, with intervals."""
    rows = pd.read_parquet(folder / "labels" / "held_out")
    models = []
    files = (file for name in names for file in (folder / name).glob("*.risks.parquet"))
    for file in sorted(files, key=lambda file: (names.index(file.parent.name), len(file.name))):
        models.append(file.name.removesuffix(".risks.parquet"))
        risks = pd.read_parquet(file).astype({"prediction_time": rows["prediction_time"].dtype})
        rows = rows.merge(risks.rename(columns={"risk": models[-1]}), on=KEY)
    labels, weights = (
        rows["boolean_value"].to_numpy(int),
        patient_weights(rows["subject_id"].to_numpy()),
    )
    persons = rows["subject_id"].nunique()
    print(f"{len(rows):,} rows held out of {persons:,} persons, {labels.sum():,} with the outcome")
    drawn, table = {}, []
    for model in models:
        scores = rows[model].to_numpy(float)
        points = weighted_metrics(labels, scores, unit_weights(len(rows)))
        drawn[model] = weighted_metrics(labels, scores, weights) | {"point": points["auroc"]}
        row = {metric: interval(points[metric][0], drawn[model][metric]) for metric in points}
        less, ours = drawn[model], drawn[models[0]]
        row["less the first"] = interval(
            less["point"][0] - ours["point"][0], less["auroc"] - ours["auroc"]
        )
        table.append({"model": model} | row)
    print(pd.DataFrame(table).to_string(index=False))


def interval(point: float, replicates: np.ndarray) -> str:
    """Return a value with its 95 % interval."""
    low, high = np.nanpercentile(replicates, [2.5, 97.5])
    return f"{point:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Make the dataset, run the systems, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--persons", type=int, default=5000)
    parser.add_argument("--peers", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "meds" / "metadata" / "dataset.json").exists():
        storage = folder / "hospital"
        parameters = f"storage={storage},cohort.persons={arguments.persons}"
        wanted = "--to-outputs=person_splits,labels,coded_events,lab_events"
        kedro_run(folder, "cohort,split,preprocess,finetune", parameters, wanted)
        write_dataset(storage, folder)
    costs, failed = {}, {}
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as process:
        for name in arguments.peers:
            try:
                costs[name] = process.submit(measured, name, folder).result()
            except Failed as error:
                failed[name] = str(error)
    compare(folder, list(costs))
    print(pd.DataFrame(costs).T.round(2).to_string())
    for name, why in failed.items():
        print(f"{REQUIREMENTS.get(name, [name])[0]} did not run: {why}")


if __name__ == "__main__":
    main()
