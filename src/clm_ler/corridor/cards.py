"""What model cards say alike, and how measures are called in them and in reports."""

from collections.abc import Mapping

MEASURES = {
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "log_loss": "log loss",
    "calibration_slope": "calibration slope (1 is right)",
    "calibration_intercept": "calibration in the large (0 is right)",
    "expected_to_observed": "expected over observed outcomes (1 is right)",
    "ece": "expected calibration error",
}

LIMITS = """\
It is made for populations, coding habits and periods like those it was trained on. Elsewhere it has to be
checked anew, subgroup by subgroup, and usually recalibrated. It is not a medical device, and no decision about a
person may rest on it alone. It holds no row about a person. But its weights are learned from person-level records and
may remember some of them: the owner of these records decides who may have it."""


def shown(estimate: Mapping[str, float | None] | None, form: str = ".3f") -> str:
    """Return a value with its 95 % interval; a dash where there is none."""
    if estimate is None or estimate["value"] is None:
        return "-"
    value, lower, upper = (
        None if estimate[name] is None else format(estimate[name], form)
        for name in ("value", "lower", "upper")
    )
    return f"{value} ({lower} to {upper})" if lower else f"{value}"
