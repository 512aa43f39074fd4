"""The section on explanations."""

from markupsafe import escape

from clm_ler.corridor.page.numbers import Artifacts, Numbers
from clm_ler.corridor.page.parts import Row, Section, Table

CHECKS = {
    "deletion": "log-odds while what raises them is taken away, below a random order by",
    "insertion": "log-odds while it is put back, above a random order by",
    "occlusion": "rank correlation with taking away one token at a time",
}
MOST_TOKENS = 20


def explanations(data: Artifacts, numbers: Numbers) -> Section:
    """Return what the predictions rest on; figures where they tell of enough persons."""
    ordered = sorted(enumerate(data["contribution_summary"]), key=lambda item: -item[1]["weight"])
    told = [(n, row) for n, row in ordered if row["persons"] >= numbers.min_persons]
    rows: list[Row] = [
        [
            escape(row["name"]),
            *(
                numbers.value(f"contribution_summary/{n}/{name}", form)
                for name, form in (("weight", ".3f"), ("raises", "+.3f"), ("persons", ","))
            ),
        ]
        for n, row in told[:MOST_TOKENS]
    ]
    head = ["", "mean absolute contribution", "mean where it occurs", "persons"]
    tables = [Table("What weighs most, in log-odds", head, rows)]
    checks = data.get("explanation_checks") or {}
    checked: list[Row] = [
        [said, numbers.estimate(f"explanation_checks/{name}")]
        for name, said in CHECKS.items()
        if checks.get(name) and checks["samples"] >= numbers.min_persons
    ]
    if checked:
        tables.append(Table("How far this can be trusted (above 0 is right)", ["", ""], checked))
    few = len(told) < len(ordered)
    figures = [] if few else ["contribution_figure", "counterfactual_figure"]
    return Section("What the predictions rest on", tables=tables, figures=figures)
