"""The parameters of ``split``."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SplitOptions(BaseModel):
    """How persons are dealt out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train_ratio: float = Field(default=0.7, ge=0, le=1, description="Share of the train split")
    validation_ratio: float = Field(default=0.15, ge=0, le=1, description="Share of valid")
    test_ratio: float = Field(default=0.15, ge=0, le=1, description="Share of test")
    salt: str = Field(default="clm-ler", description="Another salt deals out anew")

    @property
    def ratios(self) -> tuple[float, float, float]:
        """Shares of train, valid and test."""
        return self.train_ratio, self.validation_ratio, self.test_ratio

    @model_validator(mode="after")
    def _ratios_add_up(self) -> "SplitOptions":
        total = self.train_ratio + self.validation_ratio + self.test_ratio
        if abs(total - 1) > 1e-9:
            raise ValueError(
                f"train_ratio, validation_ratio and test_ratio add up to {total}, not 1"
            )
        return self
