"""The parameters of ``cohort``."""

from pydantic import BaseModel, ConfigDict, Field


class SiteOptions(BaseModel):
    """The EHRSHOT-format site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    persons: int = Field(default=900, ge=30, description="Patients of the EHRSHOT-format site.")
    events_per_person: int = Field(
        default=300,
        ge=300,
        description="Mean number of events per patient, at least; the real benchmark has about 6200.",
    )
    most_labels: int = Field(
        default=1500,
        ge=100,
        description="Most labels of a task in each split, drawn at random regardless of their value; "
        "the real benchmark has up to 122,000.",
    )
    stays: float = Field(
        default=2.6,
        gt=0,
        description="Hospital stays of its patients, as a multiple of the simulated hospital's rate; "
        "0.9 gives about as many stays per patient as the benchmark has.",
    )


class CohortOptions(BaseModel):
    """The simulated hospital and the EHRSHOT-format site beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    persons: int = Field(default=2000, ge=1, description="Persons of the hospital.")
    years: int = Field(default=12, ge=3, le=40, description="Years that the records reach back.")
    chunk_persons: int = Field(
        default=1000,
        ge=50,
        description="Persons simulated at a time, and in one file: this bounds the memory. "
        "The content of a chunk depends on the seed and this size, never on `persons`.",
    )
    ehrshot: SiteOptions = Field(default=SiteOptions(), description="The EHRSHOT-format site.")

    @property
    def chunks(self) -> int:
        """Chunks of persons."""
        return -(-self.persons // self.chunk_persons)
