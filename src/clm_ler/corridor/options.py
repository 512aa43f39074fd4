"""The parameters that several pipelines read: those of ``preprocess`` and of ``vocab``."""

import logging
from collections.abc import Iterable
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, field_validator, model_validator

from clm_ler.tables.cutflow import STEPS
from clm_ler.tables.labs.results import LabOptions
from clm_ler.tables.options import Options
from clm_ler.tables.sources import CODED_TABLES, RAW_TABLES, Sources

logger = logging.getLogger(__name__)


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"there is no time zone {name!r}: names are those of IANA, Europe/Berlin")
    return name


def _check_names(parameter: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a name that would have no effect."""
    if unknown := sorted({*given} - {*known}):
        raise ValueError(f"{parameter}: there is no {unknown[0]!r}; known are {', '.join(known)}")


class PreprocessOptions(LabOptions):
    """How raw tables become sequences."""

    tables: dict[str, Sources] = Field(
        description="The SQL that reads each of patient, diagnosis, prescription, procedure, lab; a table that "
        "is not listed is absent; several tables of one kind stand below it by name"
    )
    time_zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        default="UTC",
        description="Local time, such as Europe/Berlin: times with an offset or a zone are converted to it, "
        "times without one are local already",
    )
    event_date_filter: str | None = Field(
        default=None, description="SQL condition on `date` that events have to meet"
    )
    code_systems: dict[str, str] = Field(
        default_factory=dict,
        description="Names of code systems in the data, and the names that they get in tokens. They come before "
        "the names, addresses and OIDs of `terminology/systems.py`",
    )
    placeholder_codes: tuple[str, ...] = Field(
        default=("0", "-", "--", "?", "N/A", "NONE", "NULL", "UNKNOWN", "NO MATCHING CONCEPT"),
        description="Codes, in upper case, that mean no code; a code of zeros only counts as `0`",
    )
    untranslated: Literal["lose", "keep"] = Field(
        default="lose",
        description="With `translations_from`: `lose` drops rows whose code has no token, `keep` keeps their own "
        "codes, for a vocabulary that grows; labs that `fitted_from` lacks are then fitted",
    )
    plausible_years: tuple[int, int] = Field(
        default=(1901, 2299),
        description="Dates outside these years, first and last, are placeholders",
    )
    once_a_day: bool | dict[str, bool] = Field(
        default=True,
        description="The same token counts once a day; false: every time it occurs. Or by table, as "
        "`{lab: false}`; diagnosis, prescription and procedure have to agree",
    )
    partition_column: str | None = Field(
        default=None, description="Known from published configurations; has no effect"
    )
    number_of_days_threshold: int = Field(
        default=365, ge=0, description="Fewest days between first and last event, for pre-training"
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

    @field_validator("tables", mode="before")
    @classmethod
    def _tables_are_named_and_described(cls, tables: Any) -> Any:
        if not isinstance(tables, dict):
            return tables
        _check_names("tables", tables, RAW_TABLES)
        for name, source in tables.items():
            if isinstance(source, list | str):
                raise ValueError(f"{name}: needs select_expr: below it, with the expressions")
        return tables

    @field_validator("max_loss")
    @classmethod
    def _steps_are_known(cls, max_loss: dict[str, float]) -> dict[str, float]:
        _check_names("max_loss", max_loss, (*STEPS[1:], *RAW_TABLES))
        return max_loss

    @model_validator(mode="after")
    def _say_what_has_no_effect(self) -> "PreprocessOptions":
        if self.partition_column:
            logger.warning("preprocess: partition_column has no effect: tables are cut by person.")
        return self

    @model_validator(mode="after")
    def _tables_of_codes_agree(self) -> "PreprocessOptions":
        if isinstance(self.once_a_day, dict):
            unknown = sorted({*self.once_a_day} - {*CODED_TABLES, "lab"})
            if unknown:
                raise ValueError(f"once_a_day: there is no table of events {unknown[0]!r}")
            if len({self.once_a_day.get(name, True) for name in CODED_TABLES}) > 1:
                raise ValueError(f"once_a_day: {', '.join(CODED_TABLES)} have to agree")
        return self


class VocabOptions(Options):
    """What becomes a token of its own."""

    fit_on: Literal["train", "all"] = Field(
        default="train", description="Persons whose tokens are counted"
    )
    vocabulary_size: int = Field(
        default=160_000,
        ge=5,
        description="Largest number of tokens, including the four special ones",
    )
    min_count: int = Field(
        default=1, ge=1, description="Fewest occurrences of a token; ages exempt"
    )
    min_persons: int = Field(
        default=10,
        ge=1,
        description="Fewest persons with a code for it to become a token and be named in the report: rare codes "
        "may identify a person. Others become `[UNK]`; ages exempt",
    )
    single_age_token: bool = Field(default=False, description="One token AGE for all ages")
    split_percentile_tokens: bool = Field(
        default=True,
        description="Split a lab token: the code is the token, the bin the token type",
    )
    parent_systems: tuple[str, ...] = Field(
        default=(),
        description="Code systems, such as ICD10CM, in which a code that is too rare counts as its "
        "next broader code (J45.901, J45.90, J45.9, J45)",
    )
    uncovered_codes: int = Field(
        default=20,
        ge=0,
        description="How many of the most frequent uncovered codes the report lists",
    )
