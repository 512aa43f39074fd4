"""The parameters of ``umls_mapping``."""

from typing import Literal, get_args

from pydantic import ConfigDict, Field, PositiveInt

from clm_ler.tables.options import Options

Method = Literal[
    "demographic",
    "direct",
    "same_cui",
    "omop_maps_to",
    "relation",
    "icd_gem",
    "parent",
    "omop_is_a",
]


class TranslationOptions(Options):
    """How codes of the data become tokens of the vocabulary."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    data_to_umls_source_map: dict[str, str] = Field(
        description="The UMLS source (SAB) of each code system of the data"
    )
    vocab_to_umls_source_map: dict[str, str] = Field(
        description="The UMLS source (SAB) of each code system of the vocabulary"
    )
    gender_mapping: dict[str, str | None] = Field(
        {},
        description="The vocabulary's GENDER for each code of the data's system Gender; null leaves the "
        "code out",
    )
    race_mapping: dict[str, str | None] = Field(
        {},
        description="The vocabulary's RACE for each code of the data's system Race; null leaves the "
        "code out",
    )
    ethnicity_mapping: dict[str, str | None] = Field(
        {},
        description="The vocabulary's ETHNICITY for each code of the data's system Ethnicity; null leaves the "
        "code out",
    )
    languages: tuple[str, ...] = Field(
        ("ENG",), description="Languages (LAT) whose terms count, by the UMLS abbreviations"
    )
    suppressed: bool = Field(
        False, description="Whether obsolete and suppressed rows of UMLS count too"
    )
    ndc_sources: tuple[str, ...] = Field(
        ("RXNORM", "MTHSPL"), description="UMLS sources whose NDC attributes count"
    )
    relations: tuple[str, ...] = Field(
        (), description="UMLS relations (RELA) to follow from a code of the data"
    )
    relation_steps: PositiveInt = Field(2, description="Most relations in a row")
    parent_steps: PositiveInt = Field(4, description="Most parents in a row")
    methods: tuple[Method, ...] = Field(
        get_args(Method),
        description="The ways to find a token, the preferred first; others are not used",
    )
    listed: PositiveInt = Field(
        20, description="How many untranslated and ambiguous codes the report lists"
    )

    @property
    def demographic_mappings(self) -> dict[str, dict[str, str | None]]:
        """The three maps by the system of their tokens."""
        return {
            "GENDER": self.gender_mapping,
            "RACE": self.race_mapping,
            "ETHNICITY": self.ethnicity_mapping,
        }
