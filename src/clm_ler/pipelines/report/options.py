"""The parameters of ``report``."""

from pydantic import Field

from clm_ler.tables.options import Options


class ReportOptions(Options):
    """The page of results."""

    title: str = Field(default="Risk model report", description="Heading of the page")
    min_persons: int = Field(
        default=10, ge=1, description="Fewest persons or samples for anything that the page shows"
    )
