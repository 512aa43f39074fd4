"""The parameters of ``report``."""

from pydantic import BaseModel, ConfigDict, Field


class ReportOptions(BaseModel):
    """The page of results."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(default="Risk model report", description="Heading of the page")
    min_persons: int = Field(
        default=10, ge=1, description="Fewest persons or samples for anything that the page shows"
    )
