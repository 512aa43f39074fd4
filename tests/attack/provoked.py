"""Errors to provoke on the planted hospital: what is broken, and how. None may quote a person."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kedro.framework.session import KedroSession

from tests.attack.crash import ROOT
from tests.attack.planted import CANARY, CODES, DAY, Site

START = "split,preprocess"
TRAINED = "05_model_input/encoded_sequences"


@dataclass
class Provoked:
    """A run that has to fail.

    Attributes:
        pipelines: What runs, with commas between them.
        change: Breaks the site.
        parameters: Of the command line.
        env: The environment.
    """

    pipelines: str
    change: Callable[[Site], None] = lambda site: None
    parameters: dict[str, Any] = field(default_factory=dict)
    env: str = "mine"


ERRORS: dict[str, Provoked] = {}


def parameter(pipelines: str, name: str, value: Any) -> None:
    """A parameter with a wrong value; its name has dots."""
    nested = value
    for part in reversed(name.split(".")):
        nested = {part: nested}
    ERRORS[f"{name}={value}"] = Provoked(pipelines, parameters=nested)


def change(
    what: str, pipelines: str, how: Callable[[Site], None], env="mine", **parameters
) -> None:
    ERRORS[what] = Provoked(pipelines, how, parameters, env)


def rows(name: str, edit: Callable[[list[dict]], list[dict]]) -> Callable[[Site], None]:
    """Change the rows of a table."""
    return lambda site: site.write(name, edit(site.rows(name)))


def every(**values: Any) -> Callable[[list[dict]], list[dict]]:
    """Give every row these values; a function is given the row."""
    return lambda found: [
        row | {name: value(row) if callable(value) else value for name, value in values.items()}
        for row in found
    ]


def without(column: str) -> Callable[[list[dict]], list[dict]]:
    return lambda found: [{k: v for k, v in row.items() if k != column} for row in found]


def bytes_of(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Site], None]:
    """Change the bytes of a file, the largest that a pattern finds."""

    def how(site: Site) -> None:
        path = max(site.folder.glob(name), key=lambda path: path.stat().st_size)
        path.write_bytes(edit(path.read_bytes()))

    return how


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def entry(name: str, text: str) -> Callable[[Site], None]:
    """Give the catalog another entry."""
    return lambda site: site.configure(f"catalog_{name}", f"{name}:\n{text}")


def given(name: str, found: Callable[[Site], list[dict]]) -> Callable[[Site], None]:
    """Give an optional table of the catalog these rows."""

    def how(site: Site) -> None:
        site.write(name, found(site))
        site.configure(
            f"catalog_{name}",
            f"{name}: {{type: ibis.FileDataset, filepath: '${{runtime_params:tables}}/{name}.parquet', "
            "connection: '${globals:connection}'}\n",
        )

    return how


# --- parameters of every block
for wrong in (
    *(("train_ratio", 2), ("train_ratio", 0.1), ("test_regions", ["nowhere"]), ("ratio", 1)),
    *(("train_ratio", "half"), ("salt", [1])),
):
    parameter("split", f"split.{wrong[0]}", wrong[1])
for wrong in (
    *(("percentile_count", 0), ("time_zone", "Mars/Phobos"), ("fit_on", "nobody")),
    *(("max_loss", {"read": "much"}), ("untranslated", "drop")),
    *(("event_date_filter", "no_column > 1"), ("event_date_filter", "date < '1900-01-01'")),
    *(
        ("event_date_filter", "date >"),
        ("once_a_day", {"nothing": False}),
        ("min_history_size", 9999),
    ),
    *(("results", {"text_min_persons": -1}), ("units", 3), ("code_systems", [1])),
    *(("number_of_days_threshold", 99999), ("plausible_years", [2100, 2101])),
):
    parameter(START, f"preprocess.{wrong[0]}", wrong[1])
for wrong in (("vocabulary_size", 1), ("fit_on", "few"), ("min_persons", 0), ("min_count", "one")):
    parameter("vocab", f"vocab.{wrong[0]}", wrong[1])
for wrong in (
    *(("preset", "none"), ("objective", "best"), ("hidden_size", 15), ("tokens_per_batch", -1)),
    *(("masking_fraction", 2), ("event_min_persons", 9999), ("model_type", "gpt")),
):
    parameter("pretrain", f"pretrain.{wrong[0]}", wrong[1])
for wrong in (
    *(("method", "some"), ("override_maxlen", 1), ("tuneable_parameters", {"learning_rate": []})),
    *(("subgroups", ["no_column"]), ("labels", {"num_classes": 1})),
    *(("labels", {"inclusion_criteria": "false"}), ("labels", {"inclusion_criteria": "no = 1"})),
    *(
        ("labels", {"positive_class_criteria": "person_id"}),
        ("labels", {"prediction_time": "label"}),
    ),
    *(
        ("labels", {"positive_class_criteria": "CAST(label AS INT) + 5"}),
        ("labels", {"task": "null"}),
    ),
    *(("labels", {"task": "person_id"}), ("labels", {"test_from": "2300-01-01"})),
    *(
        ("labels", {"prediction_time": "person_id"}),
        ("labels", {"prediction_time": "'1900-01-01'"}),
    ),
    *(("labels", {"positive_class_criteria": "person_id > 'p'"}), ("labels", {"task": "nobody"})),
):
    parameter("finetune", f"finetune.{wrong[0]}", wrong[1])
parameter("explain", "explain.task", "none")
parameter("explain", "explain.label", 7)
parameter("explain", "explain.person", "nobody")
parameter("package", "package.min_persons", 1000)
parameter("report", "report.min_persons", "few")
parameter("predict", "predict.reasons", -1)
parameter("cohort", "cohort.persons", 0)
parameter("ehrshot_eval", "ehrshot_eval.shots", "many")
parameter("umls_mapping", "umls_mapping.relations", 3)
parameter("split", "seed", "random")
parameter("label", "task", "none_such")
parameter("split", "engine", "none")
parameter("split", "memory_limit", "lots")
parameter("predict", "trained", "/nowhere")
parameter("site", "kit", "/nowhere")
parameter(START, "fitted_from", "/nowhere")

# --- own tables
for name in ("patient", *CODES, "lab"):
    change(
        f"{name}: gone", START, lambda site, name=name: (site.folder / f"{name}.parquet").unlink()
    )
    change(f"{name}: cut", START, bytes_of(f"{name}.parquet", cut))
    change(
        f"{name}: text", START, bytes_of(f"{name}.parquet", lambda _: f"pid\n{CANARY}\n".encode())
    )
    change(f"{name}: no id column", START, rows(name, without("pid")))
    change(f"{name}: ids null", START, rows(name, every(pid=None)))
    change(f"{name}: ids lists", START, rows(name, every(pid=lambda row: [row["pid"]])))
for name in (*CODES, "lab"):
    change(f"{name}: days are texts", START, rows(name, every(day=CANARY)))
    change(f"{name}: days are numbers", START, rows(name, every(day=7)))
    if name != "lab":
        change(f"{name}: codes null", START, rows(name, every(code=None)))
change(
    "patient: ids alike",
    "split",
    rows(
        "patient", lambda found: [*found, *every(pid="7")(found[:1]), *every(pid="007")(found[:1])]
    ),
)
# --- labels
for what, how in {
    "no number": every(label=CANARY),
    "1.7": every(label="1.7"),
    "null": every(label=None),
    "out of range": every(label="7351"),
    "no time": every(day=CANARY),
    "twice": lambda found: found * 2,
    "nobody": every(person_id=None),
    "one class": every(label="1"),
    "strangers": every(person_id=lambda row: row["person_id"] + "x"),
    "no column label": without("label"),
    "no column day": without("day"),
    "before all": every(day=DAY.replace(year=1990)),
    "no rows of a split": lambda found: found[:3],
    "of MEDS, without a time": lambda found: [
        {"subject_id": row["person_id"], "boolean_value": True, "prediction_time": None}
        for row in found
    ],
}.items():
    change(f"labels: {what}", "finetune", rows("raw_labels", how))

# --- splits
change(
    "splits: twice",
    "split",
    given(
        "predefined_splits",
        lambda site: [
            {"person_id": row["pid"], "split": split}
            for row in site.rows("patient")
            for split in ("train", "test")
        ],
    ),
)
change(
    "splits: unknown",
    "split",
    given(
        "predefined_splits",
        lambda site: [{"person_id": row["pid"], "split": CANARY} for row in site.rows("patient")],
    ),
)
change(
    "splits: null",
    "split",
    given(
        "predefined_splits",
        lambda site: [{"person_id": row["pid"], "split": None} for row in site.rows("patient")],
    ),
)
change(
    "splits: no column",
    "split",
    given(
        "predefined_splits",
        lambda site: [{"pid": row["pid"], CANARY: 1} for row in site.rows("patient")],
    ),
)
change(
    "splits: used in pre-training",
    "split",
    given(
        "pretraining_persons",
        lambda site: [{"person_id": row["pid"]} for row in site.rows("patient")],
    ),
)

# --- a folder of CSV files
QUERY = """  type: clm_ler.datasets.folder_query.FolderQueryDataset
  folder: ${runtime_params:tables}/csv
  query: SELECT t.pid, t.day, t.system, t.code FROM diagnosis AS t
  connection: ${globals:connection}
"""
LINES = f"pid,day,system,code\np1,2019-01-01,ICD10CM,I10\n{CANARY}p60,{DAY},{CANARY}X,{CANARY}Z\n"


def csv(what: str, files: dict[str, bytes | str], text: str = QUERY) -> None:
    def how(site: Site) -> None:
        for name, content in files.items():
            path = site.folder / "csv" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        entry("diagnosis", text)(site)

    change(f"CSV: {what}", START, how)


FIRST = LINES.partition("\n")[2].partition("\n")[2]
csv("without a header", {"diagnosis.csv": FIRST * 2})
csv("a line too long", {"diagnosis.csv": LINES + f"{CANARY}a,b,c,d,{CANARY}e\n"})
csv("a quote open", {"diagnosis.csv": LINES + f'p1,"{CANARY}b,c,d\n' * 3})
csv("other characters", {"diagnosis.csv": LINES.encode("utf-16")})
csv("Latin-1", {"diagnosis.csv": LINES.replace("ICD10CM", "é").encode("latin-1")})
csv("two formats", {"diagnosis.csv": LINES, "diagnosis.csv.gz": gzip.compress(LINES.encode())})
csv("a gzip that is cut", {"diagnosis.csv.gz": cut(gzip.compress(LINES.encode() * 99))})
csv("nothing", {"other.csv": LINES})
csv("empty", {"diagnosis.csv": ""})
csv("semicolons", {"diagnosis.csv": LINES.replace(",", ";").replace("code", "kode")})
csv("a lookup twice", {"diagnosis.csv": LINES + LINES}, QUERY + "  lookups: {diagnosis: pid}\n")
csv("hostile", {"diagnosis.csv": LINES}, QUERY.replace("t.code FROM", "read_text(t.code) FROM"))
FILE = """  type: {kind}
  filepath: ${{runtime_params:tables}}/csv/diagnosis.csv
  file_format: csv
  connection: ${{globals:connection}}
"""
for kind in ("ibis.FileDataset", "clm_ler.datasets.chunked_table.ChunkedTableDataset"):
    for what, content in {
        "without a header": FIRST * 2,
        "a line too long": LINES * 9 + f"{CANARY}a,b,c,d,{CANARY}e\n",
        "Latin-1": LINES.replace("ICD10CM", "é").encode("latin-1"),
    }.items():
        csv(f"{kind.split('.')[-1]}, {what}", {"diagnosis.csv": content}, FILE.format(kind=kind))

# --- what earlier runs have stored
for what, pipelines, name in (
    ("coded events", "preprocess", "data/03_primary/person_splits/**/*.parquet"),
    ("the list of a table's files", "vocab", "data/04_feature/sequences/_manifest.json"),
    ("sequences", "vocab", "data/04_feature/sequences/**/*.parquet"),
    ("the tokenizer", "pretrain", "data/04_feature/tokenizer/tokenizer.json"),
    ("encoded sequences", "pretrain", f"data/{TRAINED}/**/*.arrow"),
    ("the weights", "finetune", "data/06_models/pretrained_model/model.safetensors"),
    ("the model's configuration", "finetune", "data/06_models/pretrained_model/config.json"),
    ("metrics", "report", "data/08_reporting/finetune_metrics.json"),
    ("the ledger", "report", "data/08_reporting/loss_ledger.parquet"),
):
    change(f"{what}: cut", pipelines, bytes_of(name, cut))
KIT = {"kit": "data/08_reporting/kit"}
for what, name, edit in (
    ("inventory", "kit.json", cut),
    ("format", "kit.json", lambda content: content.replace(b'"format": 1', b'"format": 9')),
    ("a table", "04_feature/unit_conversions.parquet", lambda content: content + b"x"),
    ("weights", "06_models/finetuned_model/model.safetensors", cut),
):
    ERRORS[f"kit, {what}: changed"] = Provoked(
        "site", bytes_of(f"data/08_reporting/kit/{name}", edit), KIT
    )
change(
    "the model: a pickle in it",
    "predict",
    lambda site: (site.storage / "06_models" / "finetuned_model" / "extra.bin").write_bytes(
        CANARY.encode()
    ),
)

# --- tasks
INDEX = {"visits": ["IP"]}
for what, task in {
    "codes that nobody has": {
        "events": {"e": {"codes": {"ICD10CM": ["Z99"]}}},
        "outcome": {"event": "e", "days": [1, 30]},
    },
    "a system that nobody has": {
        "events": {"e": {"codes": {"NONE": ["*"]}}},
        "outcome": {"event": "e", "days": [1, 30]},
    },
    "a unit that none has": {
        "events": {"e": {"codes": {"LOINC": ["2345-7"]}, "at_least": 1, "unit": "mm"}},
        "outcome": {"event": "e", "days": [1, 30]},
    },
    "a horizon too long": {
        "events": {"e": {"codes": {"ICD10CM": ["I10"]}}},
        "outcome": {"event": "e", "days": [1, 36500]},
    },
    "a concept set that is not there": {
        "events": {"e": {"concept_set": "none"}},
        "outcome": {"event": "e", "days": [1, 30]},
    },
    "visits that nobody has": {"index": {"visits": ["NONE"]}, "outcome": {"stay_days": 3}},
    "all stays long": {"outcome": {"stay_days": 1}, "min_events": 40},
    "ACES on tables of one's own": {"aces": "none.yaml"},
}.items():
    made = task if "aces" in task else {"index": INDEX, "events": {}} | task
    ERRORS[f"task: {what}"] = Provoked("label", parameters={"task": {"name": "asked"} | made})
change(
    "visits: times are texts",
    "label",
    rows("visit", every(began=CANARY, ended=CANARY)),
    task="long_stay",
)
change(
    "visits: gone", "label", lambda site: (site.folder / "visit.parquet").unlink(), task="long_stay"
)
change("visits: no column", "label", rows("visit", without("ended")), task="long_stay")
change(
    "prediction_times: texts",
    "embed_at",
    given(
        "prediction_times",
        lambda site: [
            {"person_id": row["pid"], "prediction_time": CANARY} for row in site.rows("patient")
        ],
    ),
)
change(
    "prediction_times: nobody",
    "embed_at",
    given("prediction_times", lambda site: [{"person_id": None, "prediction_time": DAY}]),
)

PLACES = {"meds_root", "labels_root", "cdm_root", "fhir_root", "ehrshot_root", "kit"}


def run(error: Provoked, site: Site) -> None:
    """Run it; places among the parameters are those of the site."""
    found = {
        name: str(site.folder / str(value)) if name in PLACES else value
        for name, value in error.parameters.items()
    }
    given = {"storage": str(site.storage)} | found
    given |= {"tables": str(site.folder)} if error.env == "mine" else {}
    of = {"env": error.env, "conf_source": str(site.conf)}
    with KedroSession.create(ROOT, runtime_params=given, **of) as session:
        session.run(pipeline_names=error.pipelines.split(","))
