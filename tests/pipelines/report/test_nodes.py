"""The page tells what the artifacts say, of enough persons, and needs nothing else."""

import re
from html.parser import HTMLParser

import ibis
import plotly.graph_objects as go
import pytest

from clm_ler.corridor.page.numbers import as_data, look_up
from clm_ler.pipelines.preprocess.figures import plot_flow
from clm_ler.pipelines.report.artifacts import ARTIFACTS
from clm_ler.pipelines.report.nodes import write_report
from clm_ler.pipelines.report.options import ReportOptions


def estimate(value, lower, upper):
    return {"value": value, "lower": lower, "upper": upper}


def group(attribute, name, n, positives, sick):
    counts = {"n": n, "positives": positives, "persons_by_class": {"0": 40, "1": sick}}
    row = {"attribute": attribute, "group": name, "suppressed": False} | counts
    return row | {"auroc": estimate(0.75, 0.65, 0.85)}


def flagged(persons, others):
    names = ("flagged", "sensitivity", "specificity", "ppv")
    counts = {"persons": persons, "persons_not_flagged": others}
    return counts | dict.fromkeys(names, estimate(0.5, 0.4, 0.6))


def task(difference, positives=40, sick=30):
    metrics = {"auroc": estimate(0.81, 0.7, 0.9), "calibration_slope": estimate(0.4, 0.2, 0.6)}
    subgroups = [
        {"attribute": "gender", "group": "F", "suppressed": True},
        group("gender", "M", 60, 20, 15),  # alone beside a hidden one
        group("age", "50-59", 90, 30, 15),
        group("age", "60-69", 90, 30, 7),  # 30 samples of 7 persons
        group("age", "70-79", 90, 30, 12),  # with it, those of the others would tell of these 7
    ]
    return {
        "samples": {
            "test": {"persons": 111, "classes": {"0": 222, "1": positives}}
            | {"persons_by_class": {"0": 90, "1": sick}}
        },
        "auroc": metrics["auroc"],
        "metrics": metrics,
        "before_calibration": metrics,
        "baselines": {"counts": {"auroc": estimate(0.8, 0.7, 0.9), "difference": difference}},
        "verdict": "The fine-tuned model does NOT clearly beat counts (AUROC on test).",
        "thresholds": [
            {"threshold": 0.1} | flagged(*persons) for persons in ((50, 61), (3, 108), (108, 3))
        ],
        "alerts": [
            {"rate": rate, "threshold": 0.2} | flagged(persons, 111 - persons)
            for rate, persons in ((0.01, 3), (0.1, 30), (0.9, 105))
        ],
        "calibration_smooth": {"ici": estimate(0.02, 0.01, 0.03)},
        "subgroups": subgroups,
    }


CHOICE = {
    "method": "platt",
    "fewest": 40,
    "log_loss": {"none": 0.31, "platt": 0.3, "isotonic": None},
}


def finetuned(**tasks):
    chosen = {"recalibration": dict.fromkeys(tasks, CHOICE)}
    return {"finetune_metrics": {"tasks": tasks, "selection": chosen}}


SOURCE = "https://doi.org/"  # a link to follow, nothing that is loaded
UNCLEAR, BETTER = estimate(0.01, -0.02, 0.04), estimate(0.04, 0.02, 0.06)
LEAKAGE = {
    "leakage_report": {
        "persons_in_two_splits": {"train, test": 0},
        "pretrained_on": {"test": 3},
        "labels": {"labels": 900, "without_events": 12},
        "warnings": ["<b>A warning.</b>"],
    }
}
VERDICT = [
    {"scope": "macro", "k": 8, "model": "clm_ler", "other_model": "count", "auroc": 0.7}
    | {"other_auroc": 0.72, "difference": -0.02, "lower": -0.05, "upper": 0.01, "persons": 300}
    | {"verdict": "does not beat"}
]


def tables():
    """What is made of the records, each table with something that is too small to be told."""
    flow = [("read", 1, 900, 300), ("split", 2, 880, 295), ("once_a_day", 3, 400, 250)]
    ledger = [("once_a_day", "again", 480, 208), ("read", "no code", 3, 2)]
    steps = [("index dates", 500, 300), ("age", 420, 250), ("labels", 420, 250)]
    return {
        "cutflow": [
            {"step": step, "number": n, "table": "events", "rows": rows, "persons": persons}
            for step, n, rows, persons in flow
        ],
        "loss_ledger": [
            {"step": step, "table": "lab", "reason": reason, "system": None, "unit": "%"}
            | {"rows": rows, "persons": persons}
            for step, reason, rows, persons in ledger
        ],
        "task_attrition": [
            {
                "task": "diabetes_1y",
                "step": n,
                "reason": reason,
                "rows": 80 * (n == 1),
                "rows_left": rows,
            }
            | {"persons_left": persons}
            for n, (reason, rows, persons) in enumerate(steps)
        ],
        "task_prevalence": [
            {
                "task": "diabetes_1y",
                "attribute": "sex",
                "group": "F",
                "rows": 220,
                "persons": 130,
                "prevalence": 0.25,
            }
            | {"suppressed": False},
            {
                "task": "diabetes_1y",
                "attribute": "sex",
                "group": "M",
                "rows": None,
                "persons": None,
                "prevalence": None,
            }
            | {"suppressed": True},
        ],
        "ehrshot_verdict": VERDICT,
    }


def losses(min_persons):
    rows = [ledger | {"step": "read"} for ledger in tables()["loss_ledger"]]
    kept = [("read", "lab"), ("lab_tokens", "lab"), ("once_a_day", "events")]
    cutflow = [{"step": step, "table": table, "rows": 400} for step, table in kept]
    return plot_flow(rows, cutflow, min_persons)


def everything():
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1]))
    return {
        **{name: ibis.memtable(rows) for name, rows in tables().items()},
        **finetuned(t=task(UNCLEAR), rare=task(UNCLEAR, sick=9)),
        **LEAKAGE,
        "pretrain_metrics": {"valid": {"persons": 70, "loss": 4.2}},
        "run_record": {
            "split": {"run": "run-one", "state": "done", "seed": 42},
            "label": {"run": "run-two", "state": "running", "seed": 42},
            "report": {"run": "run-two", "state": "running", "seed": 42},
        },
        "pretrain_curves": figure,
        "loss_figure": losses(10),
    }


def page(**artifacts):
    settings = {"seed": 42, "finetune": {"checkpoints": "/somebody/here", "method": "full"}}
    settings |= dict.fromkeys(("cdm_root", "storage", "trained"), "/somebody/here")
    return write_report(settings, ReportOptions(), *map(artifacts.get, ARTIFACTS))


def test_a_person_who_was_asked_for_is_not_named():
    asked = {"explain": {"person": 1_000_005, "samples": 50}}
    about = {"run": "now", "state": "done", "seed": 42, "began": "now", "seconds": 1.0}
    record = {"explain": about | {"versions": {}, "parameters": asked}}
    parameters = asked | {"label": {"tables": {}}}
    artifacts = map({"run_record": record}.get, ARTIFACTS)
    told = write_report(parameters, ReportOptions(), *artifacts)
    assert "samples: 50" in told
    assert "1000005" not in told and "1,000,005" not in told


class Page(HTMLParser):
    """The numbers of a page with their places, its visible text, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.numbers, self.texts, self.loads, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "data":
            self.numbers.append([found["title"], found["value"], None])
        self.loads += [found[name] for name in ("src", "href") if name in found]

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style", "pre"} & {*self.open}:
            if self.open[-1:] == ["data"]:
                self.numbers[-1][2] = data
            else:
                self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def whole():
    return Page(page(**everything()))


def test_each_number_is_that_of_its_artifact(whole):
    data = {name: as_data(artifact) for name, artifact in everything().items()}
    assert len(whole.numbers) > 40
    for place, value, shown in whole.numbers:
        found = look_up(data, place)
        assert repr(found) == value, place
        digits = float(shown.replace(",", "").rstrip("%")) / (100 if shown.endswith("%") else 1)
        assert digits == pytest.approx(found, abs=0.006), place


def test_no_other_number_stands_in_a_table():
    text = re.sub(r"<data.*?</data>", "", page(**everything()), flags=re.S)
    cells = re.findall(r"<td>(.*?)</td>", text, flags=re.S)
    assert cells
    items = r"\d+[a-g]?|<strong>.*|t: on validation.*|t, test: .*"  # of the checklist
    told = {cell for cell in cells if re.search(r"\d", re.sub(r"<a .*?>", "", cell))}
    told = {cell for cell in told if not re.fullmatch(items, cell)}
    assert told == {"fewer than 10", "50-59", "calibration slope (1 is right)"} | {
        "integrated calibration index (LOESS; 0 is right)"
    }


def test_nothing_is_told_of_few_persons(whole):
    places = [place for place, *_ in whole.numbers]
    assert not [place for place in places if place.startswith("finetune_metrics/tasks/rare")]
    groups = {place.split("/")[4] for place in places if "/t/subgroups/" in place}
    assert groups == {"2"}
    thresholds = {place.split("/")[4] for place in places if place.endswith("/ppv/value")}
    assert thresholds == {"0", "1"}  # of a threshold and an alert
    assert "finetune_metrics/tasks/t/thresholds/1/ppv/value" not in places
    assert "cutflow/1/persons" not in places  # 5 fewer than before
    assert "cutflow/2/persons" in places
    assert "finetune_metrics/tasks/t/alerts/0/ppv/value" not in places  # of three persons
    assert "finetune_metrics/tasks/t/alerts/1/ppv/value" in places
    assert "finetune_metrics/tasks/t/alerts/2/ppv/value" not in places  # all but few
    assert not [place for place in places if place.startswith("loss_ledger/1")]
    assert "fewer than 10 test persons of a class are left out" in whole.text
    assert "no code" not in whole.text


def test_the_figure_of_losses_is_shown_if_it_hides_as_few():
    assert 'id="loss_figure"' in page(**everything())
    for made in (
        losses(9),
        go.Figure(losses(10)).update_layout(meta=None),
    ):  # one of an earlier version
        assert 'id="loss_figure"' not in page(**everything() | {"loss_figure": made})


def test_what_several_classes_are_worth_is_told():
    measures = {"auroc": estimate(0.8, 0.7, 0.9)}
    metrics = {"class_0": measures, "macro": measures, "overall": {"accuracy": UNCLEAR}}
    given = task(UNCLEAR) | {"metrics": metrics, "before_calibration": metrics}
    for name in ("thresholds", "alerts", "subgroups", "calibration_smooth"):
        del given[name]
    made = Page(page(**finetuned(t=given)))
    places = {place for place, *_ in made.numbers}
    path = "finetune_metrics/tasks/t"
    for kind in ("metrics", "before_calibration"):
        assert f"{path}/{kind}/macro/auroc/value" in places
        assert f"{path}/{kind}/overall/accuracy/value" in places
    assert "mean of classes: AUROC" in made.text


def test_equal_risks_are_not_judged():
    given = task(UNCLEAR)
    given["metrics"]["calibration_slope"] = estimate(None, None, None)
    said = Page(page(**finetuned(t=given))).text
    assert "Its risks are too uncertain to be judged (calibration slope -)" in said


def test_the_verdict_does_not_flatter():
    said = Page(page(**finetuned(t=task(UNCLEAR)), **LEAKAGE)).text
    assert "It does not clearly beat counts" in said
    assert "Its risks are too extreme" in said
    assert "leakage audit warns: <b>A warning.</b>" in said
    assert "It beats every baseline" in Page(page(**finetuned(t=task(BETTER)))).text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["pretrain_metrics", "pretrain_curves"],
            "Nothing can be said of its use for a prediction",
        ),
        (["ehrshot_verdict"], "does not beat counts of codes in 1 of 1 comparisons"),
        (["cutflow"], "Nothing was trained yet"),
        ([], "Nothing was trained yet"),
    ],
)
def test_each_part_alone_makes_a_page(names, said):
    made = everything()
    artifacts = dict.fromkeys(made) | {name: made[name] for name in names}
    assert said in Page(page(**artifacts)).text


def test_a_benchmark_or_a_loss_of_few_persons_is_not_told():
    nothing, made = dict.fromkeys(everything()), everything()
    figure = {"ehrshot_figure_groups": made["pretrain_curves"]}
    verdict = ibis.memtable([VERDICT[0] | {"persons": 9}])
    benchmark = page(**nothing | {"ehrshot_verdict": verdict} | figure)
    assert "nothing to compare" in benchmark
    loss = {"pretrain_metrics": {"valid": {"persons": 9, "loss": 4.2}}}
    training = page(**nothing | loss | {"pretrain_curves": made["pretrain_curves"]})
    for html in (benchmark, training):
        assert not Page(html).numbers
        assert 'id="pretrain_curves"' not in html and 'id="ehrshot_figure_groups"' not in html


def test_all_labels_are_called_so():
    verdict = ibis.memtable([VERDICT[0] | {"k": -1}])
    text = Page(page(**dict.fromkeys(everything()) | {"ehrshot_verdict": verdict})).text
    assert "at all labels per class" in text
    assert "-1" not in text


def test_the_same_results_make_the_same_page_however_often_it_is_made():
    made = everything()
    record = {"split": made["run_record"]["split"]}
    of_each = [{"run": run, "state": "running", "seed": 42} for run in ("run-two", "run-three")]
    first, second = (page(**made | {"run_record": record | {"report": of}}) for of in of_each)
    assert first == second


def test_the_page_needs_no_network_and_tells_of_no_machine():
    text = page(**everything())
    assert [place for place in Page(text).loads if not place.startswith(("#", SOURCE))] == []
    assert "/somebody/here" not in text
    assert "this run" in text
    assert "running" not in [value for *_, value in Page(text).numbers]
    assert "method: full" in text
    assert text.count("plotly.js v") == 1
    assert "js-plotly-plot" not in page(**finetuned(t=task(UNCLEAR)))
