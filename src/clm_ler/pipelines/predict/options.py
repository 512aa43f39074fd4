"""The parameters of ``predict``."""

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt


class PredictOptions(BaseModel):
    """What is written beside the risks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reasons: NonNegativeInt = Field(
        0,
        description="Number of codes, those that weigh most, named as reasons of each prediction, see explain.md; "
        "it costs about as much as twenty predictions",
    )
