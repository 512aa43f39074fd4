"""The parameters of ``package``."""

from pydantic import BaseModel, ConfigDict, Field


class PackageOptions(BaseModel):
    """What a kit may tell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_persons: int = Field(
        default=10,
        ge=1,
        description="Fewest persons that a token, a unit, a percentile, a translation, a class or a figure "
        "of a kit may rest on",
    )
    push_to: str | None = Field(
        default=None,
        description="Where the kit goes too: a folder, or hf://OWNER/NAME, a repository of the Hugging Face Hub",
    )
