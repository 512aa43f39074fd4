"""The parameters of ``predict``."""

from pydantic import Field, NonNegativeInt

from clm_ler.tables.options import Options


class PredictOptions(Options):
    """What is written beside the risks."""

    reasons: NonNegativeInt = Field(
        0,
        description="Number of codes, those that weigh most, named as reasons of each prediction, see explain.md; "
        "it costs about as much as twenty predictions",
    )
