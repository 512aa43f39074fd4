"""The finding in three sentences, with a verdict that does not flatter."""

from collections.abc import Iterator

from markupsafe import Markup

from clm_ler.corridor.page.numbers import Artifacts, Numbers


def find_out(data: Artifacts, numbers: Numbers) -> list[Markup | str]:
    """Say in three sentences what was found, whether it beats the baselines, and what is doubtful."""
    told = told_tasks(data, numbers.min_persons)
    if told:
        said: list[Markup | str] = [
            sentence for task in told for sentence in _of_task(data, numbers, task)
        ]
    elif data.get("ehrshot_verdict"):
        said = _of_benchmark(data, numbers)
    elif "pretrain_metrics" in data:
        said = _of_pretraining(data, numbers)
    else:
        said = ["Nothing was trained yet.", "What follows tells of the records only."]
    if "finetune_metrics" in data and len(told) < len(data["finetune_metrics"]["tasks"]):
        said.append(
            f"Tasks with fewer than {numbers.min_persons} test persons of a class are left out."
        )
    return said


def _of_task(data: Artifacts, numbers: Numbers, task: str) -> Iterator[Markup]:
    path = f"finetune_metrics/tasks/{task}"
    report = data["finetune_metrics"]["tasks"][task]
    yield Markup(
        "{}: the fine-tuned model has an AUROC of {} on {} persons of the test split."
    ).format(task, numbers.estimate(f"{path}/auroc"), numbers.count(f"{path}/samples/test/persons"))
    unbeaten = [
        name
        for name, other in report["baselines"].items()
        if not (other["difference"]["lower"] or 0) > 0
    ]
    if unbeaten:
        yield Markup("It does <strong>not</strong> clearly beat {}. {}").format(
            ", ".join(unbeaten), report["verdict"]
        )
    else:
        yield Markup("It beats every baseline. {}").format(report["verdict"])
    warnings = data.get("leakage_report", {}).get("warnings", [])
    doubts = (
        f"the leakage audit warns: {' '.join(warnings)}"
        if warnings
        else "the leakage audit found nothing."
    )
    slope = report["metrics"].get("calibration_slope")
    if slope is None:
        yield Markup("As to doubts, {}").format(doubts)
        return
    yield Markup("Its risks are {} (calibration slope {}); {}").format(
        _judged(slope["lower"], slope["upper"]),
        numbers.estimate(f"{path}/metrics/calibration_slope", ".2f"),
        doubts,
    )


def _judged(lower: float | None, upper: float | None) -> str:
    """Return what the interval of a calibration slope allows to say: 1 is right, 0 tells nobody apart.

    >>> _judged(0.8, 1.3), _judged(-5.7, 6.0), _judged(0.2, 0.9)
    ('compatible with right ones', 'too uncertain to be judged', 'too extreme')
    >>> _judged(None, None)  # no slope: all risks are equal, or they separate the outcomes
    'too uncertain to be judged'
    """
    if lower is None or upper is None:
        return "too uncertain to be judged"
    if lower > 1:
        return "not extreme enough"
    if upper < 1:
        return "too extreme"
    return "compatible with right ones" if lower > 0 else "too uncertain to be judged"


def _of_benchmark(data: Artifacts, numbers: Numbers) -> list[Markup | str]:
    told = enumerate(data["ehrshot_verdict"])
    rows = [(n, row) for n, row in told if row["persons"] >= numbers.min_persons]
    of_macro = [(n, row) for n, row in rows if row["scope"] == "macro" and row["model"] != "hybrid"]
    counting = [
        (n, row) for n, row in of_macro if row["other_model"] in ("count", "count_bins", "windowed")
    ]
    if not counting:
        return ["The benchmark has nothing to compare."]
    worst, row = min(counting, key=lambda item: item[1]["difference"])
    lost = sum(row["verdict"] != "beats" for _n, row in counting)
    said = (
        f"The model does <strong>not</strong> beat counts of codes in {lost} of {len(counting)} comparisons."
        if lost
        else f"The model beats counts of codes in all {len(counting)} comparisons of the mean AUROC."
    )
    path = f"ehrshot_verdict/{worst}"
    return [
        Markup("On the benchmark, {} was compared with baselines that count codes.").format(
            row["model"]
        ),
        Markup(said),
        Markup("The least favourable is {} at {} labels per class: {} ({} to {}).").format(
            row["other_model"],
            shots(data, numbers, worst),
            *(numbers.value(f"{path}/{name}", "+.3f") for name in ("difference", "lower", "upper")),
        ),
    ]


def _of_pretraining(data: Artifacts, numbers: Numbers) -> list[Markup | str]:
    split = "test" if "test" in data["pretrain_metrics"] else "valid"
    path = f"pretrain_metrics/{split}"
    first = Markup("A model was pre-trained; its loss on {} persons of the {} split is {}.").format(
        numbers.count(f"{path}/persons"), split, numbers.value(f"{path}/loss")
    )
    if data["pretrain_metrics"][split]["persons"] < numbers.min_persons:
        first = Markup("A model was pre-trained; few persons are in the {} split.").format(split)
    return [
        first,
        "It was not yet fine-tuned or compared with counts of codes.",
        "Nothing can be said of its use for a prediction.",
    ]


def shots(data: Artifacts, numbers: Numbers, row: int) -> Markup | str:
    """Return the labels per class of a row of the benchmark's verdict."""
    every = data["ehrshot_verdict"][row]["k"] < 0
    return "all" if every else numbers.value(f"ehrshot_verdict/{row}/k", "d")


def told_tasks(data: Artifacts, min_persons: int) -> list[str]:
    """Return the fine-tuned tasks whose test split has enough persons of every class to be told of.

    An older fine-tuning, which counted samples alone, has none.
    """
    tasks = data.get("finetune_metrics", {}).get("tasks", {})
    return [
        name
        for name, task in tasks.items()
        if min(task["samples"]["test"].get("persons_by_class", {}).values(), default=0)
        >= min_persons
    ]
