"""What all options have in common."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Options that refuse unknown names, and are not changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
