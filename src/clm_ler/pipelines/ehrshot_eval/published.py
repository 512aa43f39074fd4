"""Published results on EHRSHOT with all training samples, copied from the sources named beside them.

``scope`` is a task, a finding, a group of tasks, ``14 tasks`` (all but the chest X-ray findings) or
``macro`` (the mean of the groups). A number that was not published is not here.
"""

from typing import NamedTuple

LEADERBOARD = "EHRSHOT leaderboard (ehrshot.stanford.edu, leaderboard.json v3.2)"
LEADERBOARD_GROUPS = "EHRSHOT leaderboard, table of task groups with 95 % intervals"
CONTEXT_CLUES = "Wornow et al., Context Clues, arXiv 2412.16178, tables 11 to 13"
LLM_ENCODERS = "Hegselmann et al., arXiv 2502.17403, figure of scaling, full history"


class Published(NamedTuple):
    """One published number."""

    model: str
    head: str
    scope: str
    score: str
    value: float
    lower: float | None
    upper: float | None
    source: str


CLASSIFIERS = (
    ("CLMBR-T-base", "lr_lbfgs"),
    ("count", "gbm"),
    ("count", "lr_lbfgs"),
    ("count", "rf"),
)

# AUROC of the four classifiers above, then AUPRC.
_TASKS = {
    "guo_los": (0.814, 0.783, 0.704, 0.758, 0.576, 0.532, 0.384, 0.483),
    "guo_readmission": (0.810, 0.741, 0.751, 0.775, 0.412, 0.327, 0.258, 0.335),
    "guo_icu": (0.848, 0.799, 0.701, 0.721, 0.324, 0.218, 0.094, 0.089),
    "lab_thrombocytopenia": (0.852, 0.815, 0.753, 0.811, 0.784, 0.736, 0.630, 0.723),
    "lab_hyperkalemia": (0.792, 0.727, 0.658, 0.660, 0.153, 0.082, 0.055, 0.052),
    "lab_hypoglycemia": (0.794, 0.627, 0.582, 0.606, 0.086, 0.021, 0.020, 0.020),
    "lab_hyponatremia": (0.760, 0.659, 0.612, 0.631, 0.575, 0.438, 0.374, 0.392),
    "lab_anemia": (0.962, 0.814, 0.739, 0.799, 0.982, 0.899, 0.838, 0.891),
    "new_hypertension": (0.718, 0.637, 0.689, 0.627, 0.258, 0.221, 0.212, 0.226),
    "new_hyperlipidemia": (0.675, 0.699, 0.720, 0.625, 0.225, 0.258, 0.247, 0.193),
    "new_pancan": (0.813, 0.824, 0.856, 0.885, 0.252, 0.372, 0.157, 0.472),
    "new_celiac": (0.557, 0.723, 0.758, 0.639, 0.017, 0.058, 0.231, 0.045),
    "new_lupus": (0.747, 0.703, 0.793, 0.587, 0.024, 0.179, 0.093, 0.016),
    "new_acutemi": (0.729, 0.725, 0.678, 0.741, 0.183, 0.184, 0.135, 0.165),
    "No Finding": (0.606, 0.594, 0.578, 0.583, 0.480, 0.464, 0.456, 0.456),
    "Enlarged Cardiomediastinum": (0.640, 0.656, 0.691, 0.568, 0.033, 0.029, 0.033, 0.021),
    "Cardiomegaly": (0.822, 0.790, 0.748, 0.784, 0.161, 0.139, 0.118, 0.130),
    "Lung Lesion": (0.761, 0.709, 0.696, 0.737, 0.321, 0.278, 0.262, 0.305),
    "Lung Opacity": (0.709, 0.675, 0.637, 0.652, 0.399, 0.362, 0.288, 0.320),
    "Edema": (0.722, 0.671, 0.631, 0.600, 0.175, 0.138, 0.125, 0.098),
    "Consolidation": (0.680, 0.604, 0.615, 0.617, 0.073, 0.050, 0.066, 0.057),
    "Pneumonia": (0.609, 0.580, 0.553, 0.567, 0.056, 0.042, 0.044, 0.038),
    "Atelectasis": (0.655, 0.515, 0.538, 0.502, 0.068, 0.043, 0.045, 0.041),
    "Pneumothorax": (0.823, 0.593, 0.633, 0.646, 0.184, 0.083, 0.063, 0.063),
    "Pleural Effusion": (0.754, 0.673, 0.676, 0.678, 0.299, 0.226, 0.249, 0.212),
    "Pleural Other": (0.714, 0.731, 0.735, 0.617, 0.063, 0.052, 0.043, 0.022),
    "Fracture": (0.734, 0.710, 0.670, 0.607, 0.094, 0.057, 0.061, 0.039),
    "Support Devices": (0.752, 0.682, 0.650, 0.673, 0.525, 0.447, 0.363, 0.409),
}

# Group, score: value, lower, upper of each classifier. The chest X-ray AUROC of this table (0.752
# for CLMBR) contradicts the leaderboard's own findings, whose mean is given instead.
_GROUPS: dict[tuple[str, str], dict[str, tuple[float, float | None, float | None]]] = {
    ("operational_outcomes", "auroc"): {
        "CLMBR-T-base": (0.824, 0.803, 0.845),
        "MOTOR-T-base": (0.836, 0.817, 0.856),
        "count": (0.774, 0.752, 0.797),
    },
    ("lab_values", "auroc"): {
        "CLMBR-T-base": (0.832, 0.824, 0.840),
        "MOTOR-T-base": (0.788, 0.778, 0.797),
        "count": (0.728, 0.716, 0.741),
    },
    ("new_diagnoses", "auroc"): {
        "CLMBR-T-base": (0.707, 0.667, 0.746),
        "MOTOR-T-base": (0.756, 0.712, 0.800),
        "count": (0.719, 0.669, 0.768),
    },
    ("chexpert", "auroc"): {
        "CLMBR-T-base": (0.713, None, None),
        "count": (0.656, None, None),
    },
    ("operational_outcomes", "auprc"): {
        "CLMBR-T-base": (0.437, 0.391, 0.484),
        "MOTOR-T-base": (0.490, 0.441, 0.539),
        "count": (0.359, 0.319, 0.399),
    },
    ("lab_values", "auprc"): {
        "CLMBR-T-base": (0.516, 0.500, 0.532),
        "MOTOR-T-base": (0.492, 0.480, 0.505),
        "count": (0.435, 0.418, 0.452),
    },
    ("new_diagnoses", "auprc"): {
        "CLMBR-T-base": (0.160, 0.128, 0.192),
        "MOTOR-T-base": (0.193, 0.154, 0.231),
        "count": (0.212, 0.160, 0.264),
    },
    ("chexpert", "auprc"): {
        "CLMBR-T-base": (0.209, 0.197, 0.221),
        "count": (0.172, 0.160, 0.184),
    },
}

# Frozen features with logistic regression; AUROC of operational, lab, new diagnoses.
_CONTEXT_CLUES = {
    "Mamba, 16k tokens": (0.831, 0.855, 0.756),
    "Llama, 2k tokens": (0.833, 0.839, 0.751),
    "GPT, 2k tokens": (0.818, 0.841, 0.756),
    "Hyena, 1k tokens": (0.813, 0.849, 0.740),
}

_MEANS = (
    Published("CLMBR-T-base", "lr_lbfgs", "14 tasks", "auroc", 0.777, None, None, CONTEXT_CLUES),
    Published(
        "Mamba, 16k tokens", "lr_lbfgs", "14 tasks", "auroc", 0.807, None, None, CONTEXT_CLUES
    ),
    Published("count", "gbm", "14 tasks", "auroc", 0.734, None, None, LEADERBOARD),
    Published("CLMBR-T-base", "lr_lbfgs", "macro", "auroc", 0.769, 0.746, 0.792, LLM_ENCODERS),
    Published("GTE-Qwen2-7B", "lr_lbfgs", "macro", "auroc", 0.755, 0.730, 0.780, LLM_ENCODERS),
    Published("Llama-3.1-8B", "lr_lbfgs", "macro", "auroc", 0.734, 0.707, 0.762, LLM_ENCODERS),
)


def published_results() -> list[Published]:
    """Return every number, a row for each."""
    tasks = [
        Published(model, head, task, score, values[column + offset], None, None, LEADERBOARD)
        for task, values in _TASKS.items()
        for score, offset in (("auroc", 0), ("auprc", len(CLASSIFIERS)))
        for column, (model, head) in enumerate(CLASSIFIERS)
    ]
    heads = {"count": "gbm"}
    groups = [
        Published(model, heads.get(model, "lr_lbfgs"), group, score, *interval, LEADERBOARD_GROUPS)
        for (group, score), models in _GROUPS.items()
        for model, interval in models.items()
    ]
    names = ("operational_outcomes", "lab_values", "new_diagnoses")
    clues = [
        Published(model, "lr_lbfgs", group, "auroc", value, None, None, CONTEXT_CLUES)
        for model, values in _CONTEXT_CLUES.items()
        for group, value in zip(names, values, strict=True)
    ]
    return [*tasks, *groups, *clues, *_MEANS]
