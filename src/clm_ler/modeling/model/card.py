"""A model directory that explains itself: weights, tokenizer and a card."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class DescribedModel:
    """A model with what a reader of its directory needs.

    Attributes:
        model: The weights and their configuration.
        tokenizer: The vocabulary they belong to.
        card: The text of README.md, with Hugging Face's metadata at its head.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    card: str

    def save_pretrained(self, directory: str | Path) -> None:
        """Write all of it into one directory, which ``from_pretrained`` of each part reads."""
        self.model.save_pretrained(directory)
        self.tokenizer.save_pretrained(directory)
        (Path(directory) / "README.md").write_text(self.card, encoding="utf-8")
