"""The parameters of ``split``."""

from pydantic import Field, model_validator

from clm_ler.tables.options import Options


class SplitOptions(Options):
    """How persons are divided into train, valid and test."""

    train_ratio: float = Field(default=0.7, ge=0, le=1, description="Share of the train split")
    validation_ratio: float = Field(default=0.15, ge=0, le=1, description="Share of valid")
    test_ratio: float = Field(default=0.15, ge=0, le=1, description="Share of test")
    salt: str = Field(default="clm-ler", description="Another salt gives another split")

    test_regions: tuple[str, ...] = Field(
        default=(),
        description="Sites to hold out: persons with these values of `region` are the test split; the others are "
        "divided into train and valid",
    )

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
        if self.test_regions and not self.train_ratio + self.validation_ratio:
            raise ValueError("test_regions leave nobody for train: train_ratio is 0")
        return self

    def without_test(self) -> "SplitOptions":
        """Return the same where test is settled otherwise."""
        train, valid, _test = self.ratios
        whole = train + valid
        shares = {"train_ratio": train / whole, "validation_ratio": valid / whole}
        return self.model_copy(update=shares | {"test_ratio": 0.0, "test_regions": ()})
