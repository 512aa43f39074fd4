"""The parameters of ``vocab``."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class VocabOptions(BaseModel):
    """What becomes a token of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fit_on: Literal["train", "all"] = Field(
        default="train", description="Persons whose tokens are counted"
    )
    vocabulary_size: int = Field(
        default=160_000, ge=5, description="Most tokens, the four special ones included"
    )
    min_count: int = Field(
        default=1, ge=1, description="Fewest occurrences of a token; ages exempt"
    )
    single_age_token: bool = Field(default=False, description="One token AGE for all ages")
    split_percentile_tokens: bool = Field(
        default=True,
        description="Take the bin off a lab token: it becomes the token type, the code one token",
    )
    parent_systems: tuple[str, ...] = Field(
        default=(),
        description="Code systems, such as ICD10CM, whose codes below the cut-off count as their "
        "next broader code (J45.901, J45.90, J45.9, J45)",
    )
    uncovered_codes: int = Field(
        default=20, ge=0, description="Codes that the report lists as the largest uncovered ones"
    )
