"""The parameters of ``predict``."""

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt


class PredictOptions(BaseModel):
    """What is said beside the risks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reasons: NonNegativeInt = Field(
        0,
        description="How many codes that weigh most are named with each prediction, see explain.md; it "
        "costs about as much as twenty predictions",
    )
