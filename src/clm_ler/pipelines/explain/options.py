"""The parameters of ``explain``."""

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt

from clm_ler.tables.options import Options


class ExplainOptions(Options):
    """Which predictions are explained, and how far the explanations are checked."""

    # Of --params=explain.person=1000005 Kedro makes a number.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    task: str | None = Field(
        None, description="The task to explain, if the model has several; null: its first"
    )
    label: PositiveInt = Field(1, description="The class to explain, if the task has several")
    samples: PositiveInt = Field(
        500, description="Test samples to explain, evenly spaced among all"
    )
    checked: NonNegativeInt = Field(
        100,
        description="Of these, samples whose tokens are deleted and inserted to check the order",
    )
    occluded: NonNegativeInt = Field(
        20, description="Of these, samples whose tokens are taken away one by one"
    )
    labs: NonNegativeInt = Field(
        12, description="Number of labs, those that weigh most, that are moved from bin to bin"
    )
    min_persons: int = Field(
        10,
        ge=1,
        description="Fewest persons for a token to have a row of its own; others are put together",
    )
    person: str | None = Field(
        None,
        description="The id of a person whose timeline is drawn: it is a record of "
        "that person and stays in the storage",
    )
