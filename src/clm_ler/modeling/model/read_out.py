"""What is made of a model's states: logits, or what training reads off them in their place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from transformers.modeling_outputs import ModelOutput


@dataclass
class MaskedCodesOutput(ModelOutput):
    """What is predicted at each position.

    Attributes:
        logits: Code logits ``[..., vocab_size]``.
        bin_logits: Lab-bin logits ``[..., num_lab_bins]``, given the code; column 0 is bin 1.
    """

    logits: Tensor | None = None
    bin_logits: Tensor | None = None


class ReadOut(Protocol):
    """Something other than logits that is read off a model's states.

    It is computed within the model's forward pass, where mixed precision, compilation and data
    parallelism are.
    """

    def __call__(
        self, model: Any, states: Tensor, input_ids: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Return what is read.

        Args:
            model: For its heads: ``code_logits``, ``bin_logits``.
            states: ``[positions, hidden_size]``, those of all sequences behind one another.
            input_ids: ``[positions]``.
            targets: What is to be predicted, and where; and the ``lab_logits`` of a model that
                forecasts labs.
        """
        ...


def read_states(
    model: Any,
    states: Tensor,
    input_ids: Tensor,
    read_out: ReadOut | None,
    targets: Mapping[str, Tensor] | None,
) -> MaskedCodesOutput | Tensor:
    """Return what ``read_out`` reads off states ``[batch, length, hidden_size]``; without it, logits."""
    if read_out is not None:
        return read_out(model, states.flatten(0, 1), input_ids.flatten(), targets or {})
    logits = model.code_logits(states)
    return MaskedCodesOutput(logits, model.bin_logits(states, logits.argmax(dim=-1)))
