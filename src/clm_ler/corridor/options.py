"""The parameters that several pipelines read: those of ``preprocess`` and of ``vocab``."""

import logging
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from clm_ler.tables.labs.results import LabOptions
from clm_ler.tables.sources import CODED_TABLES, RAW_TABLES, Sources

logger = logging.getLogger(__name__)


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"there is no time zone {name!r}: names are those of IANA, Europe/Berlin")
    return name


class PreprocessOptions(LabOptions):
    """How raw tables become sequences."""

    tables: dict[str, Sources] = Field(
        description="patient, diagnosis, prescription, procedure, lab: the SQL that reads each; "
        "a table that is not listed is absent; by name where one is several"
    )
    time_zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        default="UTC",
        description="Local time, such as Europe/Berlin: times with an offset or a zone are turned into "
        "it, times without one are taken for it",
    )
    event_date_filter: str | None = Field(
        default=None, description="SQL condition on `date` that events have to meet"
    )
    code_systems: dict[str, str] = Field(
        default_factory=dict,
        description="Names of code systems in the data: those of the tokens. Added to the names, "
        "addresses and OIDs of `terminology/systems.py`",
    )
    placeholder_codes: tuple[str, ...] = Field(
        default=("0", "-", "--", "?", "N/A", "NONE", "NULL", "UNKNOWN", "NO MATCHING CONCEPT"),
        description="Codes, in upper case, that stand for none; zeros alone count as one 0",
    )
    untranslated: Literal["lose", "keep"] = Field(
        default="lose",
        description="With `translations_from`, what becomes of a code without a token: `keep` writes it "
        "as the site does, for a vocabulary that grows; labs that `fitted_from` lacks are then fitted",
    )
    plausible_years: tuple[int, int] = Field(
        default=(1901, 2299), description="First and last year that is no placeholder"
    )
    once_a_day: bool | dict[str, bool] = Field(
        default=True,
        description="The same token counts once a day; false: at every time it has. By table, as "
        "`{lab: false}`; the tables of codes have to agree",
    )
    partition_column: str | None = Field(
        default=None, description="Of published configurations; has no effect"
    )
    number_of_days_threshold: int = Field(
        default=365, ge=0, description="Days between first and last event, for pre-training"
    )
    min_history_size: int = Field(
        default=20, ge=0, description="Fewest tokens of a sequence, for pre-training"
    )
    max_loss: dict[str, float] = Field(
        default={"read": 0.5, "lab_tokens": 0.9},
        description="Largest share of rows that a step (read, lab_tokens, number_of_days_threshold, "
        "min_history_size, once_a_day) or the reading of a table (diagnosis ...) may lose",
    )

    @property
    def keeps_untranslated(self) -> bool:
        """Whether a code without a token keeps its own name."""
        return self.untranslated == "keep"

    @property
    def repeating(self) -> frozenset[str]:
        """Which tokens count at every time they have: ``codes``, ``labs``."""
        if isinstance(self.once_a_day, bool):
            return frozenset() if self.once_a_day else frozenset(("codes", "labs"))
        again = {
            "labs" if name == "lab" else "codes"
            for name, once in self.once_a_day.items()
            if not once
        }
        return frozenset(again)

    @model_validator(mode="after")
    def _say_what_has_no_effect(self) -> "PreprocessOptions":
        if self.partition_column:
            logger.warning("preprocess: partition_column has no effect: tables are cut by person.")
        return self

    @model_validator(mode="after")
    def _tables_of_codes_agree(self) -> "PreprocessOptions":
        if isinstance(self.once_a_day, dict):
            unknown = sorted({*self.once_a_day} - {*RAW_TABLES} | {"patient"} & {*self.once_a_day})
            if unknown:
                raise ValueError(f"once_a_day: there is no table of events {unknown[0]!r}")
            if len({self.once_a_day.get(name, True) for name in CODED_TABLES}) > 1:
                raise ValueError(f"once_a_day: {', '.join(CODED_TABLES)} have to agree")
        return self


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
    min_persons: int = Field(
        default=10,
        ge=1,
        description="Fewest persons with a code that becomes a token, or is named in the report: what "
        "few persons have may tell who they are. Others are `[UNK]`; ages exempt",
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
