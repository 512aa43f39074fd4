"""The parameters of ``pretrain``."""

from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Annotated, Any, Self

from annotated_types import doc
from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.model.options import ModelOptions
from clm_ler.modeling.objectives import OBJECTIVES
from clm_ler.modeling.objectives.mlm import MlmOptions
from clm_ler.modeling.objectives.tte import TteOptions
from clm_ler.modeling.training.options import TrainingOptions

PUBLISHED_DAYS = 1825  # of a window; a century would make a table of 36,500 rows
# What may change between the start of a training and its continuation.
NOT_COMPARED = {
    "checkpoints",
    "overwrite",
    "save_total_limit",
    "dataloader_num_workers",
    "eval_persons",
    "license",
    "preset",
    "presets",
}


@dataclass(config=ConfigDict(extra="forbid"), frozen=True, kw_only=True)
class PretrainOptions(TrainingOptions, TteOptions, MlmOptions, WindowOptions, ModelOptions):
    """Model, data path and training; names are the published ones where the meaning is the same."""

    preset: Annotated[str, doc("The preset that gives the values not set otherwise")]
    presets: Annotated[
        dict[str, dict[str, Any]], doc("Sets of values for the parameters below, by name")
    ] = field(repr=False)
    objective: Annotated[
        str, doc("Objective: mlm, tte or mlm+tte; for bert and longformer: mlm")
    ] = "mlm+tte"
    checkpoints: Annotated[str, doc("Directory of the checkpoints; local even if storage is not")]
    input_model: Annotated[
        str | None,
        doc("Model directory to continue from, with its tokenizer; the vocabulary may grow"),
    ] = None
    overwrite: Annotated[
        bool, doc("Discard a training of other data or parameters, or a finished one")
    ] = False
    license: Annotated[str, doc("Licence field of the model card")] = "other"

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: ArgsKwargs | Mapping[str, Any]) -> dict[str, Any]:
        given = dict((values.kwargs or {}) if isinstance(values, ArgsKwargs) else values)
        presets = given.get("presets", {})
        if given.get("preset") not in presets:
            raise ValueError(f"preset must be one of {', '.join(presets)}")
        chosen = presets[given["preset"]] | given
        ours = chosen.get("model_type", cls.model_type) == "clm_ler"
        if not ours or chosen.get("time_encoding") == "day_embedding":
            chosen.setdefault("max_position_embeddings", PUBLISHED_DAYS)
        if chosen.get("objective") is None:
            chosen["objective"] = "mlm+tte" if ours else "mlm"
        if chosen.get("pooling") is None:
            chosen["pooling"] = "mean" if chosen["objective"] == "mlm" else "query+labs"
        return chosen

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}")
        if self.objective != "mlm" and self.model_type != "clm_ler":
            raise ValueError(f"objective {self.objective} is for model_type clm_ler; set mlm")
        if self.objective == "mlm" and "query" in str(self.pooling):
            raise ValueError(
                f"pooling {self.pooling} is for an objective with a query: tte, mlm+tte"
            )
        self.check_edges()
        if self.masking_fraction + self.random_replacement_fraction > 1:
            raise ValueError("masking_fraction + random_replacement_fraction must be at most 1")
        if self.attention == "varlen" and (
            self.model_type != "clm_ler" or self.attention_probs_dropout_prob
        ):
            raise ValueError(
                "attention: varlen is for model_type clm_ler without attention_probs_dropout_prob"
            )
        return self

    def compared(self) -> dict[str, Any]:
        """Return the parameters that decide the outcome of a training."""
        return {name: value for name, value in asdict(self).items() if name not in NOT_COMPARED}
