"""The parameters of ``site``."""

from pydantic import Field

from clm_ler.tables.options import Options


class SiteOptions(Options):
    """The report on a kit at a site."""

    title: str = Field(default="A model from elsewhere", description="Heading of the page")
    min_persons: int = Field(
        default=10,
        ge=1,
        description="Fewest persons with, and without, the outcome behind each number of the page and of "
        "`site_summary`",
    )
    replicates: int = Field(
        default=200, ge=2, description="Bootstrap resamples of the persons, for standard errors"
    )
