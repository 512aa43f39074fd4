"""The parameters of ``site``."""

from pydantic import BaseModel, ConfigDict, Field


class SiteOptions(BaseModel):
    """What is said of a kit at a site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(default="A model from elsewhere", description="Heading of the page")
    min_persons: int = Field(
        default=10,
        ge=1,
        description="Fewest persons, with and without the outcome, that a number of the page or of "
        "`site_summary` is about",
    )
    replicates: int = Field(
        default=200, ge=2, description="Resamplings of the persons, for standard errors"
    )
