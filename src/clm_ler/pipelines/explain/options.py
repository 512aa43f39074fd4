"""The parameters of ``explain``."""

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt


class ExplainOptions(BaseModel):
    """Which predictions are explained, and how far the explanations are checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str | None = Field(
        None, description="The task that is explained, where the model has several; null: its first"
    )
    label: PositiveInt = Field(
        1, description="The class that is explained, where a task has several"
    )
    samples: PositiveInt = Field(
        500, description="Test samples that are explained, evenly spaced among all"
    )
    checked: NonNegativeInt = Field(
        100, description="Of these, those whose tokens are deleted and inserted to check the order"
    )
    occluded: NonNegativeInt = Field(
        20, description="Of these, those whose tokens are taken away one by one"
    )
    labs: NonNegativeInt = Field(
        12, description="Labs that are moved from bin to bin: those that weigh most"
    )
    min_persons: int = Field(
        10, ge=1, description="Fewest persons of whom anything is said; others are put together"
    )
    person: str | None = Field(
        None,
        description="A person, by the id of the tables, whose own timeline is drawn: it is a record of "
        "that person and stays in the storage",
    )
