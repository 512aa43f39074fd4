"""What an event is that a task names: codes, results, visits, death."""

from pydantic import ConfigDict, Field, model_validator

from clm_ler.tables.options import Options

CENTURY = 36_525  # days; no engine can add numbers without end to a date


class Strict(Options):
    """Options that refuse unknown names, and numbers that are none or without end."""

    model_config = ConfigDict(allow_inf_nan=False)


class Concept(Strict):
    """An OMOP concept of a concept set."""

    id: int = Field(description="concept_id")
    descendants: bool = Field(default=True, description="Whether its descendants count, too")
    excluded: bool = Field(
        default=False, description="Take it (and its descendants) out; exclusion always wins"
    )


class Rise(Strict):
    """How much a result is above the least of the days before it."""

    days: float = Field(gt=0, le=CENTURY, description="Days to look back")
    by: float | None = Field(default=None, gt=0, description="In the unit of the event")
    times: float | None = Field(default=None, gt=1, description="As a multiple")

    @model_validator(mode="after")
    def _one_of_both(self) -> "Rise":
        if (self.by is None) == (self.times is None):
            raise ValueError("a rise has either 'by' or 'times'")
        return self


class EventDefinition(Strict):
    """What counts as an event: codes, results of a laboratory, visits, death, or any of several."""

    codes: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Codes by system; * and ? are wildcards (E11*)"
    )
    except_codes: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Codes that do not count although `codes` names them"
    )
    concepts: tuple[Concept, ...] = Field(default=(), description="OMOP concepts")
    concept_set: str | None = Field(
        default=None,
        description="A concept set of ATLAS: the name of its file in the folder `concept_sets`",
    )
    unit: str | None = Field(default=None, description="Unit of the bounds, for results")
    at_least: float | None = Field(default=None, description="A result of this value or more")
    above: float | None = Field(default=None, description="A result of more than this")
    at_most: float | None = Field(default=None, description="A result of this value or less")
    below: float | None = Field(default=None, description="A result of less than this")
    rise: tuple[Rise, ...] = Field(
        default=(), description="A result that has risen by any of these"
    )
    visits: tuple[str, ...] = Field(
        default=(), description="Types of visits, whose begin is the event"
    )
    death: bool = Field(default=False, description="Death")
    any_of: tuple[str, ...] = Field(default=(), description="Names of other events")

    @property
    def bounds(self) -> dict[str, float | None]:
        """The bounds of a result by name."""
        return {name: getattr(self, name) for name in ("at_least", "above", "at_most", "below")}

    @property
    def is_measured(self) -> bool:
        """Whether the value of a result decides."""
        return bool(self.rise) or any(bound is not None for bound in self.bounds.values())

    @property
    def is_coded(self) -> bool:
        """Whether codes say what it is."""
        return bool(self.codes or self.concepts or self.concept_set)

    @model_validator(mode="after")
    def _one_kind(self) -> "EventDefinition":
        kinds = [self.is_coded, bool(self.visits), self.death, bool(self.any_of)]
        if sum(kinds) != 1:
            raise ValueError(
                "an event is one of: codes, concepts or a concept_set; visits; death; any_of"
            )
        if self.is_measured and not (self.is_coded and self.unit):
            raise ValueError("bounds and rises need the codes of a laboratory result and a unit")
        return self
