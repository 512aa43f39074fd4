"""What the page says: a section for each thing that was made; what was not made is left out."""

from collections import Counter
from collections.abc import Callable

from markupsafe import Markup, escape

from clm_ler.corridor.page.numbers import DASH, Artifacts, Numbers, as_data
from clm_ler.corridor.page.parts import Row, Section, Table
from clm_ler.pipelines.report.explanations import explanations
from clm_ler.pipelines.report.finding import find_out, shots
from clm_ler.pipelines.report.results import results
from clm_ler.pipelines.report.tripod import checklist

MOST_REASONS = 12
PIPELINE = "report"  # that makes the page


def sections(artifacts: Artifacts, min_persons: int) -> list[Section]:
    """Return the sections that the artifacts have something for, the finding first."""
    data = {name: as_data(artifact) for name, artifact in artifacts.items()}
    numbers = Numbers(data, min_persons)
    makers: list[tuple[str, Callable[[Artifacts, Numbers], Section]]] = [
        ("task_attrition", _task),
        ("cutflow", _persons),
        ("loss_ledger", _losses),
        ("vocabulary_report", _vocabulary),
        ("unit_conversions", _units),
        ("pretrain_metrics", _pretraining),
        ("finetune_metrics", results),
        ("contribution_summary", explanations),
        ("ehrshot_verdict", _benchmark),
        ("leakage_report", _leakage),
        ("run_record", _runs),
    ]
    made = [make(data, numbers) for name, make in makers if name in data]
    made = [section for section in made if section.said or section.tables or section.figures]
    found = [Section("What was found", find_out(data, numbers)), *made]
    return [*found, checklist(found, data, numbers)]


def _task(data: Artifacts, numbers: Numbers) -> Section:
    found = Section("Whom the task is about", figures=["task_figure"])
    tasks = list(dict.fromkeys(row["task"] for row in data["task_attrition"]))
    for task in tasks:
        of_task = f"{task}: " if len(tasks) > 1 else ""
        found.tables += [
            Table(
                f"{of_task}From index dates to labels",
                ["reason", "lost", "left", "persons left"],
                _steps(data, numbers, task),
            ),
            Table(
                f"{of_task}How frequent the outcome is",
                ["by", "group", "index dates", "persons", "with the outcome"],
                _groups(data, numbers, task),
            ),
        ]
    return found


def _steps(data: Artifacts, numbers: Numbers, task: str) -> list[Row]:
    path = "task_attrition"
    return [
        [
            numbers.text(f"{path}/{n}/reason"),
            *(
                numbers.count(f"{path}/{n}/{name}")
                for name in ("rows", "rows_left", "persons_left")
            ),
        ]
        for n, row in enumerate(data[path])
        if row["task"] == task
    ]


def _groups(data: Artifacts, numbers: Numbers, task: str) -> list[Row]:
    path = "task_prevalence"
    return [
        [
            row["attribute"],
            row["group"],
            *(numbers.count(f"{path}/{n}/{name}") for name in ("rows", "persons")),
            numbers.value(f"{path}/{n}/prevalence", ".1%"),
        ]
        for n, row in enumerate(data.get(path, []))
        if row["task"] == task and not row["suppressed"]
    ]


def _persons(data: Artifacts, numbers: Numbers) -> Section:
    rows: list[Row] = []
    shown: dict[str, int] = {}  # persons that were told last, by table
    for n, row in enumerate(data["cutflow"]):
        lost = shown.get(row["table"], row["persons"]) - row["persons"]
        if 0 < lost < numbers.min_persons:  # a subtraction would tell of them
            rows.append([row["step"], row["table"], DASH, DASH])
            continue
        shown[row["table"]] = row["persons"]
        counts = (numbers.count(f"cutflow/{n}/{name}") for name in ("rows", "persons"))
        rows.append([row["step"], row["table"], *counts])
    head = ["step", "table", "rows", "persons"]
    return Section("Records and persons", tables=[Table("What each step leaves", head, rows)])


def _losses(data: Artifacts, numbers: Numbers) -> Section:
    ordered = sorted(enumerate(data["loss_ledger"]), key=lambda item: -item[1]["rows"])
    rows: list[Row] = [
        [
            *(escape(row[name] or DASH) for name in ("step", "table", "reason", "system", "unit")),
            *(numbers.count(f"loss_ledger/{n}/{name}") for name in ("rows", "persons")),
        ]
        for n, row in ordered[:MOST_REASONS]
        if row["persons"] >= numbers.min_persons
    ]
    head = ["step", "table", "reason", "system", "unit", "rows", "persons"]
    name = f"The {len(rows)} largest losses" if len(rows) > 1 else "The largest loss"
    table = Table(name, head, rows)
    return Section("What was lost in reading", tables=[table], figures=["loss_figure"])


def _vocabulary(data: Artifacts, numbers: Numbers) -> Section:
    path = "vocabulary_report"
    said = Markup("The vocabulary has {} tokens, {} bins for results.").format(
        numbers.value(f"{path}/size", ","), numbers.value(f"{path}/lab_bins", "d")
    )
    rows: list[Row] = [
        [
            split,
            numbers.count(f"{path}/coverage/{split}/all/persons"),
            numbers.count(f"{path}/coverage/{split}/all/tokens"),
            numbers.value(f"{path}/coverage/{split}/all/tokens_covered", ".1%"),
        ]
        for split, systems in data[path]["coverage"].items()
        if "all" in systems
    ]
    table = Table("What it covers", ["split", "persons", "tokens", "share known"], rows)
    return Section("Vocabulary", [said], [table], ["vocabulary_figure"])


def _units(data: Artifacts, numbers: Numbers) -> Section:
    statuses = Counter(row["status"] for row in data["unit_conversions"])
    said = ", ".join(f"{name}: {number:,}" for name, number in sorted(statuses.items()))
    return Section("Units", [Markup("Units of laboratory results by status: {}.").format(said)])


def _pretraining(data: Artifacts, numbers: Numbers) -> Section:
    measured = data["pretrain_metrics"]
    splits = [
        split
        for split in ("valid", "test")
        if split in measured and measured[split]["persons"] >= numbers.min_persons
    ]
    rows: list[Row] = [
        [
            split,
            numbers.count(f"pretrain_metrics/{split}/persons"),
            numbers.value(f"pretrain_metrics/{split}/loss"),
            *(
                numbers.value(f"pretrain_metrics/{split}/accuracy/{name}", ".1%")
                if "accuracy" in data["pretrain_metrics"][split]
                else DASH
                for name in ("top1", "top10")
            ),
        ]
        for split in splits
    ]
    head = ["split", "persons", "loss", "masked codes: top-1 accuracy", "top-10"]
    table = Table("How well the pre-trained model predicts", head, rows)
    figures = ["pretrain_curves"] if "valid" in splits else []
    return Section("Pre-training", tables=[table], figures=figures)


def _benchmark(data: Artifacts, numbers: Numbers) -> Section:
    rows: list[Row] = [
        [
            row["model"],
            row["other_model"],
            shots(data, numbers, n),
            *(numbers.value(f"ehrshot_verdict/{n}/{name}") for name in ("auroc", "other_auroc")),
            *(
                numbers.value(f"ehrshot_verdict/{n}/{name}", "+.3f")
                for name in ("difference", "lower", "upper")
            ),
            row["verdict"],
        ]
        for n, row in enumerate(data["ehrshot_verdict"])
        if row["scope"] == "macro" and row["persons"] >= numbers.min_persons
    ]
    head = ["model", "baseline", "labels per class", "AUROC", "baseline's", "difference"]
    head += ["from", "to", "verdict"]
    table = Table("Mean AUROC over the groups of tasks", head, rows)
    few = any(row["persons"] < numbers.min_persons for row in data["ehrshot_verdict"])
    figures = [] if few else [f"ehrshot_figure_{n}" for n in ("groups", "tasks", "differences")]
    return Section("Benchmark", tables=[table], figures=figures)


def _leakage(data: Artifacts, numbers: Numbers) -> Section:
    report, path = data["leakage_report"], "leakage_report"
    rows: list[Row] = [
        [f"persons in {pair}", numbers.count(f"{path}/persons_in_two_splits/{pair}")]
        for pair in report["persons_in_two_splits"]
    ]
    rows += [
        [
            f"{split} persons that were pre-trained on",
            numbers.count(f"{path}/pretrained_on/{split}"),
        ]
        for split in report["pretrained_on"]
    ]
    rows += [
        [f"labels {name.replace('_', ' ')}", numbers.count(f"{path}/labels/{name}")]
        for name in report["labels"]
        if name != "labels"
    ]
    rows += [
        [f"{name} known only after a prediction", numbers.count(f"{path}/known_later/{name}")]
        for name in report.get("known_later", {})  # which reports of earlier versions lack
    ]
    said: list[Markup | str] = list(report["warnings"]) or ["No warnings."]
    return Section("Leakage audit", said, [Table("Looked for", ["what", "found"], rows)])


def _runs(data: Artifacts, numbers: Numbers) -> Section:
    record = data["run_record"]
    # Its own run goes on while the page is written; without it, the same results give the same page.
    this = record.get(PIPELINE, {}).get("run")
    rows: list[Row] = [
        [
            name,
            numbers.text(f"run_record/{name}/run"),
            "this run" if record[name]["run"] == this else numbers.text(f"run_record/{name}/state"),
            numbers.value(f"run_record/{name}/seed", "d"),
        ]
        for name in sorted(record.keys() - {PIPELINE})
    ]
    said: list[Markup | str] = [
        "run.json beside the results has the parameters and versions of each, and fingerprints of what "
        "went in and came out."
    ]
    head = ["pipeline", "run", "state", "seed"]
    return Section("Runs that made it", said, [Table("Last of each pipeline", head, rows)])
