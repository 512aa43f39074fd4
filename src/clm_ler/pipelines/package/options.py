"""The parameters of ``package``."""

from pydantic import Field

from clm_ler.tables.options import Options


class PackageOptions(Options):
    """What a kit may contain, and where it goes."""

    min_persons: int = Field(
        default=10,
        ge=1,
        description="Fewest persons behind each token, unit, percentile, translation, class and figure of a kit",
    )
    push_to: str | None = Field(
        default=None,
        description="Where the kit is copied to: a folder, or hf://OWNER/NAME, a repository of the Hugging Face Hub",
    )
