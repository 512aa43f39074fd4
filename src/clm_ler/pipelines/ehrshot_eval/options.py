"""The parameters of ``ehrshot_eval``."""

from typing import Final, Literal, Self, get_args

from pydantic import Field, PositiveInt, field_validator, model_validator

from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.tables.ehrshot.tasks import TASKS
from clm_ler.tables.options import Options

FINETUNED: Final = "clm_ler_finetuned"  # the row whose heads fine-tune the model
HYBRID = "hybrid"  # the row of model and windowed features together
FeatureName = Literal[
    "clm_ler",
    "clm_ler_finetuned",
    "untrained",
    "demographics",
    "count",
    "count_bins",
    "windowed",
    "clm_ler_windowed",
]


class HeadOptions(Options):
    """A classifier and the grid it is chosen from."""

    estimator: Literal["logistic", "standardised", "lasso", "gbm", "forest", "finetune"] = Field(
        description="Which classifier: `logistic` is the official regression, `standardised` one on "
        "features standardised on unlabelled training samples, `lasso` the same with an L1 penalty, "
        "which leaves most features out, `finetune` trains the model itself"
    )
    grid: dict[str, tuple[int | float | str | bool | None, ...]] = Field(
        description="Values of each hyper-parameter, named as scikit-learn, LightGBM or the "
        "parameters of `finetune` name them"
    )


class EhrshotOptions(Options):
    """Which part of the benchmark is run."""

    tasks: tuple[str, ...] = Field(TASKS, description="Tasks, in the benchmark's order")
    shots: tuple[int, ...] = Field(
        description="Positive and negative training samples each; -1 for all training samples"
    )
    replicates: PositiveInt = Field(description="Draws for each number of shots")
    heads: dict[str, HeadOptions] = Field(description="The classifiers, by name")
    models: dict[FeatureName, tuple[str, ...]] = Field(
        description="The heads of each kind of features: `clm_ler` the model's embeddings, `count` "
        "the official counts, `count_bins` counts with lab bins and time bins, `windowed` "
        "summaries of each code over windows of time, `clm_ler_windowed` embeddings beside these, "
        "`untrained` embeddings of random weights, `demographics` age, gender, race and "
        "ethnicity, `clm_ler_finetuned` the model itself. With `clm_ler`, `windowed` and "
        "`clm_ler_windowed` there is a `hybrid`, too, which combines them"
    )
    lookbacks: tuple[PositiveInt, ...] = Field(
        (30, 365), description="Days before the prediction that bound the time bins, ascending"
    )
    min_persons: PositiveInt = Field(
        10, description="Fewest training persons with a code that the windowed features summarise"
    )
    beside: dict[str, str] = Field(
        default_factory=dict,
        description="Storages of other runs on the same site, by the name of the row that their model "
        "gets beside `clm_ler`: `{native: data/native}`",
    )
    bootstraps: PositiveInt = Field(1000, description="Resamples of the test patients")
    max_length: int = Field(256, ge=2, description="Tokens of a window, as in pre-training")
    checkpoints: str = Field(
        description="Directory of unfinished fine-tunings; local even if storage is not"
    )
    tokens_per_batch: PositiveInt = Field(8192, description="Token positions embedded at a time")

    @field_validator("beside")
    @classmethod
    def _names_are_new(cls, beside: dict[str, str]) -> dict[str, str]:
        if taken := sorted(beside.keys() & {*get_args(FeatureName), HYBRID}):
            raise ValueError(f"{taken[0]!r} is a row already: give the other run another name")
        return beside

    @field_validator("lookbacks")
    @classmethod
    def _lookbacks_rise(cls, lookbacks: tuple[int, ...]) -> tuple[int, ...]:
        if list(lookbacks) != sorted(set(lookbacks)):
            raise ValueError("they must rise from one number of days to the next")
        return lookbacks

    @model_validator(mode="after")
    def _models_have_heads_that_fit(self) -> Self:
        for model, names in self.models.items():
            fit = [
                name
                for name, head in self.heads.items()
                if (head.estimator == "finetune") == (model == FINETUNED)
            ]
            if unfit := [name for name in names if name not in fit]:
                raise ValueError(
                    f"models: {model!r} cannot have the head {unfit[0]!r}. Of `heads` it can have: "
                    f"{', '.join(fit) or 'none'}"
                )
        return self

    def window(self, max_position_embeddings: int) -> WindowOptions:
        """Return how large a window of a model may be."""
        return WindowOptions(self.max_length, max_position_embeddings)
