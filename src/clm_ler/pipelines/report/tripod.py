"""The checklist of TRIPOD+AI: answered where the run knows, open where the author must.

Items and numbers are those of Collins et al., BMJ 2024;385:e078378; the words are our own and shorter.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files

from markupsafe import Markup

from clm_ler.corridor.page.numbers import Artifacts, Numbers
from clm_ler.corridor.page.parts import HOW_IT_WAS_MADE, Row, Section, Table
from clm_ler.pipelines.report.finding import told_tasks

OPEN = Markup("<strong>open</strong>: for the author")
SOURCE = Markup(
    'Numbers are those of <a href="https://doi.org/10.1136/bmj-2023-078378">TRIPOD+AI</a> (Collins et al. 2024), words '
    "are ours: read the item before you answer it. What the run knows is said or linked; the rest is open."
)


def checklist(sections: Sequence[Section], data: Artifacts, numbers: Numbers) -> Section:
    """Return the checklist; a link where one of the sections answers.

    Args:
        sections: All others, in their order.
        data: The artifacts by name.
        numbers: How numbers are written.
    """
    places = {section.title: f"#part-{n}" for n, section in enumerate(sections, start=1)}
    places[HOW_IT_WAS_MADE] = "#made"
    rows: list[Row] = []
    for item in items():
        links = [
            Markup('<a href="{}">{}</a>').format(places[title], title)
            for title in item["where"].split(", ")
            if title in places
        ]
        said = FACTS[item["item"]](data, numbers) if item["item"] in FACTS else ()
        rows.append([item["item"], item["about"], Markup("; ").join([*said, *links]) or OPEN])
    table = Table("TRIPOD+AI", ["item", "what to report", "answer"], rows)
    return Section("Reporting checklist", [SOURCE], [table])


def items() -> list[dict[str, str]]:
    """Return ``item, about, where`` (the sections that answer, which may be none) of each."""
    text = files("clm_ler.pipelines.report").joinpath("tripod_ai.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _years(data: Artifacts, numbers: Numbers) -> Iterator[Markup]:
    """Yield the first and the last year of all, those too whose numbers are suppressed."""
    rows = data.get("task_prevalence", [])
    years = [n for n, row in enumerate(rows) if row["attribute"] == "year"]
    known = sorted((n for n in years if rows[n]["group"].isdigit()), key=lambda n: rows[n]["group"])
    if known:
        first, last = (
            numbers.value(f"task_prevalence/{n}/group", "") for n in (known[0], known[-1])
        )
        yield Markup("predictions of {} to {}").format(first, last)


def _outcome(data: Artifacts, numbers: Numbers) -> Iterator[Markup]:
    path = "run_record/label/parameters/task"
    given = data.get("run_record", {}).get("label", {}).get("parameters", {}).get("task") or []
    tasks = (
        {path: given}
        if isinstance(given, dict)
        else {f"{path}/{n}": t for n, t in enumerate(given)}
    )
    for place, task in tasks.items():
        outcome = task.get("outcome") or {}
        if None not in (outcome.get("days") or [None]):
            first, last = (numbers.value(f"{place}/outcome/days/{n}", "d") for n in (0, 1))
            yield Markup("{}: {}, day {} to {} after the prediction").format(
                task["name"], outcome["event"], first, last
            )


def _counts(data: Artifacts, numbers: Numbers) -> Iterator[Markup]:
    """Yield persons and predictions with each outcome, by split."""
    for task in told_tasks(data, numbers.min_persons):
        path = f"finetune_metrics/tasks/{task}/samples"
        for split, found in data["finetune_metrics"]["tasks"][task]["samples"].items():
            classes = [name for name in found["classes"] if name != "0"]
            yield Markup("{}, {}: {} persons, {} predictions with the outcome").format(
                task,
                split,
                numbers.count(f"{path}/{split}/persons"),
                Markup(" / ").join(
                    numbers.count(f"{path}/{split}/classes/{n}")
                    if found["persons_by_class"][n] >= numbers.min_persons
                    else f"fewer than {numbers.min_persons} persons'"
                    for n in classes
                ),
            )


def _recalibration(data: Artifacts, numbers: Numbers) -> Iterator[Markup]:
    chosen = data.get("finetune_metrics", {}).get("selection", {}).get("recalibration", {})
    for task in told_tasks(data, numbers.min_persons):
        if task in chosen:
            yield Markup("{}: on validation, {}").format(task, chosen[task]["method"])


FACTS: dict[str, Callable[[Artifacts, Numbers], Iterator[Markup]]] = {
    "5b": _years,
    "8a": _outcome,
    "12a": _counts,
    "12f": _recalibration,
    "21": _counts,
    "24": _recalibration,
}
