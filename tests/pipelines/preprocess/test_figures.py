"""The figure of the losses may be shared: no flow is that of a few persons."""

import pytest

from clm_ler.pipelines.preprocess.figures import plot_flow

KEPT = {("read", "diagnosis"): 90, ("lab_tokens", "lab"): 0, ("once_a_day", "events"): 80}
CUTFLOW = [{"step": step, "table": table, "rows": n} for (step, table), n in KEPT.items()]


@pytest.mark.parametrize(
    ("persons", "told"),
    [
        ({"a": 50, "b": 30, "c": 20}, {"a": 50, "b": 30, "c": 20}),
        ({"a": 50, "b": 30, "c": 1}, {"a": 50, "other reasons": 31}),
        ({"a": 50, "b": 6, "c": 7}, {"other reasons": 63}),
        ({"a": 2, "b": 3}, {}),
    ],
)
def test_what_few_persons_lost_is_never_told_alone(persons, told):
    losses = [
        {"step": "read", "table": "diagnosis", "reason": reason, "rows": n, "persons": n}
        for reason, n in persons.items()
    ]
    figure = plot_flow(losses, CUTFLOW, min_persons=10)
    names, link = figure.data[0].node.label, figure.data[0].link
    flows = {names[target]: value for target, value in zip(link.target, link.value, strict=True)}
    assert {name: n for name, n in flows.items() if name.startswith("lost")} == {
        f"lost: {reason}": n for reason, n in told.items()
    }


def test_one_person_with_many_labs_is_one_person():
    """The ledger counts persons of each code and unit: whoever lost a result of each is counted in all."""
    unit_by_unit = [
        {"step": "lab_tokens", "table": "lab", "reason": "no unit", "rows": 1, "persons": 1}
    ] * 12
    names = plot_flow(unit_by_unit, CUTFLOW, min_persons=10).data[0].node.label
    assert not [name for name in names if name.startswith("lost")]
