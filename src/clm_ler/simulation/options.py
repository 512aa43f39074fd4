"""The parameters of ``cohort``."""

from pydantic import BaseModel, ConfigDict, Field


class SiteOptions(BaseModel):
    """The EHRSHOT-format site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    persons: int = Field(default=900, ge=30, description="Patients of the EHRSHOT-format site.")
    events_per_person: int = Field(
        default=300,
        ge=300,
        description="Mean events a patient at least; the real benchmark has about 6200.",
    )
    most_labels: int = Field(
        default=1500,
        ge=100,
        description="Labels of a task in each split at most, drawn at random whatever their value; "
        "the real benchmark has up to 122,000.",
    )
    stays: float = Field(
        default=2.6,
        gt=0,
        description="How many times more often its patients are in hospital than those of the "
        "simulated hospital; with 0.9 there are about as many stays a patient as in the benchmark.",
    )


class CohortOptions(BaseModel):
    """The simulated hospital and the EHRSHOT-format site beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    persons: int = Field(default=2000, ge=1, description="Persons of the hospital.")
    years: int = Field(default=12, ge=3, le=40, description="Years that the records reach back.")
    chunk_persons: int = Field(
        default=1000,
        ge=50,
        description="Persons simulated at a time, and in one file: it bounds the memory. "
        "The content of a chunk depends on the seed and this size, never on `persons`.",
    )
    ehrshot: SiteOptions = Field(default=SiteOptions(), description="The EHRSHOT-format site.")

    @property
    def chunks(self) -> int:
        """Chunks of persons."""
        return -(-self.persons // self.chunk_persons)
