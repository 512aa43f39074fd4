"""The parameters of ``finetune``."""

from collections.abc import Mapping
from dataclasses import field, fields, replace
from itertools import product
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Lt, doc
from pydantic import ConfigDict, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.training.options import FineTuning
from clm_ler.tables.labels import LabelOptions


@dataclass(config=ConfigDict(extra="forbid"), frozen=True, kw_only=True)
class FinetuneOptions(FineTuning):
    """Labels, fine-tuning and evaluation; names are the published ones where the meaning is the same."""

    labels: Annotated[LabelOptions, doc("How the table of labels is read")] = field(
        default_factory=LabelOptions
    )
    override_maxlen: Annotated[int, Ge(2), doc("Tokens of a window, [CLS] included")] = 512
    tuneable_parameters: Annotated[
        dict[str, tuple[Any, ...]],
        doc(
            "Values to try of the parameters of training, by name: every combination is a point of "
            "the grid, and the best on validation is kept"
        ),
    ] = field(default_factory=dict)
    checkpoints: Annotated[str, doc("Directory of the grid's trainings; local")]

    head: Annotated[
        Literal["model", "hybrid"],
        doc(
            "hybrid: also the mean of the ranks of model and windowed features, or one of them, or trees on both, "
            "if clearly better on validation; its predictions are separate tables"
        ),
    ] = "model"

    recalibration: Annotated[
        Literal["auto", "none", "intercept", "platt", "isotonic"],
        doc(
            "How the log-odds of an outcome become its risk, fitted on validation; auto: the simplest way, unless "
            "a more flexible one is clearly better in cross-validation"
        ),
    ] = "auto"

    # Evaluation
    bootstrap_replicates: Annotated[
        int, Ge(1), doc("Bootstrap resamples of the persons, for 95 % intervals")
    ] = 1000
    thresholds: Annotated[tuple[float, ...], doc("Risks from which a person is flagged")] = (
        0.05,
        0.1,
        0.2,
        0.3,
        0.5,
    )
    alert_rates: Annotated[
        tuple[Annotated[float, Gt(0), Lt(1)], ...],
        doc("Shares of the predictions, those with the highest risks, that raise an alert"),
    ] = (0.01, 0.05, 0.1, 0.2)
    age_bands: Annotated[tuple[int, ...], doc("First year of each age band")] = (
        18,
        40,
        50,
        60,
        70,
        80,
    )
    subgroups: Annotated[
        tuple[str, ...],
        doc("Columns of demographics whose values are subgroups, beside the age bands"),
    ] = ("gender", "race", "ethnicity")
    smallest_cell: Annotated[
        int,
        Ge(1),
        doc("Fewest persons with and without the outcome in a subgroup that is shown"),
    ] = 5
    min_persons: Annotated[
        int,
        Ge(1),
        doc("Fewest persons with and without the outcome for the model card to report on a task"),
    ] = 10
    time_bins: Annotated[
        tuple[int, ...],
        doc("Days before the prediction that separate the periods of the count baselines"),
    ] = (30, 365)
    probe_shifts: Annotated[
        tuple[int, ...],
        doc("Days before the prediction time at which the histories of the leakage probe end"),
    ] = (0, 1, 30, 180)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("age_bands", "time_bins"):
            if list(values := getattr(self, name)) != sorted(set(values)):
                raise ValueError(f"{name} must rise from one value to the next")
        if not self.age_bands:
            raise ValueError("age_bands needs a year at least")
        shares = self.proportions_per_label
        if shares and (
            len(shares) != self.labels.num_classes or min(shares) < 0 or not any(shares)
        ):
            raise ValueError(
                f"proportions_per_label must be one for each of the {self.labels.num_classes} classes, none "
                "below 0 and not all 0"
            )
        return self

    @model_validator(mode="after")
    def _has_values_to_try(self) -> Self:
        if empty := [name for name, values in self.tuneable_parameters.items() if not values]:
            raise ValueError(f"tuneable_parameters: {', '.join(empty)} has no value to try")
        known = {field.name for field in fields(FineTuning)}
        if unknown := sorted(self.tuneable_parameters.keys() - known):
            raise ValueError(
                f"tuneable_parameters: {', '.join(unknown)} is nothing that can be tuned. "
                f"These can: {', '.join(sorted(known))}"
            )
        for point in self.grid() if self.tuneable_parameters else ():
            try:
                self.settings(point)
            except ValidationError as error:
                first = error.errors()[0]
                said = first["msg"].removeprefix("Value error, ")
                places = (str(part) for part in first["loc"])
                raise ValueError(": ".join(["tuneable_parameters", *places, said])) from None
        return self

    def window(self, max_position_embeddings: int) -> WindowOptions:
        """Return how large a window of a model may be."""
        return WindowOptions(self.override_maxlen, max_position_embeddings)

    def grid(self) -> list[dict[str, Any]]:
        """Return the points of the grid: a value for each tuneable parameter."""
        names = list(self.tuneable_parameters)
        return [
            dict(zip(names, values, strict=True))
            for values in product(*self.tuneable_parameters.values())
        ]

    def settings(self, point: Mapping[str, Any]) -> FineTuning:
        """Return how the model of one point of the grid is fine-tuned."""
        chosen = replace(self, tuneable_parameters={}, **point)
        return FineTuning(**{f.name: getattr(chosen, f.name) for f in fields(FineTuning)})
