"""The loss of masked language modelling: that of the pairs (code, bin), in any form of a batch."""

from typing import Any

import pytest
import torch
from torch import Tensor

from clm_ler.modeling.data.packing import pack
from clm_ler.modeling.model.configuration_clm_ler import TIME_ENCODINGS
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForMaskedLM
from clm_ler.modeling.objectives.mlm import Mlm, MlmOptions
from clm_ler.modeling.objectives.mlm_metrics import CodeSystems
from tests.modeling.model.test_modeling_clm_ler import BINS, LENGTHS, VOCABULARY, masked_lm
from tests.modeling.persons import VOCABULARY as SPECIALS

OBJECTIVE = Mlm(MlmOptions(), SPECIALS, CodeSystems.from_tokens(["A:1"] * VOCABULARY))


@pytest.fixture
def batch() -> dict[str, Any]:
    """Three persons of different length, with masked codes and masked lab bins."""
    generator = torch.Generator().manual_seed(7)
    shape = (len(LENGTHS), max(LENGTHS))
    real = torch.arange(shape[1]) < torch.tensor(LENGTHS)[:, None]
    days = torch.randint(0, 40, shape, generator=generator).cumsum(1)
    bins = torch.randint(0, BINS + 1, shape, generator=generator)
    return {
        "input_ids": torch.randint(4, VOCABULARY, shape, generator=generator) * real,
        "token_type_ids": bins * real,
        "position_ids": days * real,
        "attention_mask": real.long(),
        "targets": {
            "masked_index": torch.tensor([2, 5, 10, 20, 24]),
            "labels": torch.randint(4, VOCABULARY, (5,), generator=generator),
            "bin_labels": torch.tensor([1, -100, 4, -100, 2]),
            "bin_only_index": torch.tensor([3, 8, 22]),
            "bin_only_labels": torch.tensor([4, 1, 2]),
        },
    }


def loss_of(model: ClmLerForMaskedLM, batch: dict[str, Any]) -> Tensor:
    return model(**batch, read_out=OBJECTIVE.loss)


def without_bins_alone(batch: dict[str, Any]) -> dict[str, Any]:
    names = ("masked_index", "labels", "bin_labels")
    return {**batch, "targets": {name: batch["targets"][name] for name in names}}


def loss_and_gradients(
    model: ClmLerForMaskedLM, batch: dict[str, Any]
) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    loss = loss_of(model, batch) / 5
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("time_encoding", TIME_ENCODINGS)
@pytest.mark.parametrize("attention", ["sdpa", "varlen"])
def test_padded_and_packed_give_the_same_loss_and_gradients(
    batch: dict[str, Any], time_encoding: str, attention: str
) -> None:
    model = masked_lm(time_encoding=time_encoding)
    padded_loss, padded = loss_and_gradients(model, batch)
    model.set_attn_implementation(attention)
    packed_loss, packed = loss_and_gradients(model, pack(batch))
    torch.testing.assert_close(packed_loss, padded_loss)
    for name, gradient in padded.items():
        torch.testing.assert_close(packed[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_the_loss_is_that_of_the_pair_of_code_and_bin(batch: dict[str, Any]) -> None:
    batch = without_bins_alone(batch)
    model = masked_lm(bin_loss_weight=0.5).eval()
    index, labels, truth = batch["targets"].values()
    states = model(**batch, read_out=lambda model, states, *_: states)[index]
    codes = model.code_logits(states).log_softmax(-1)[torch.arange(5), labels]
    labs = truth != -100
    bins = model.bin_logits(states, labels)[labs].log_softmax(-1)
    bins = bins[torch.arange(3), truth[labs] - 1]
    torch.testing.assert_close(loss_of(model, batch), -(codes.sum() + 0.5 * bins.sum()))


def test_a_bin_masked_alone_is_told_from_the_code_that_stays(batch: dict[str, Any]) -> None:
    model = masked_lm().eval()
    index, truth = batch["targets"]["bin_only_index"], batch["targets"]["bin_only_labels"]
    states = model(**batch, read_out=lambda model, states, *_: states)[index]
    codes = model.clm_ler.embeddings.codes(batch["input_ids"].flatten()[index])
    logits = model.bin_head(states + codes).log_softmax(-1)
    alone = -logits[torch.arange(3), truth - 1].sum()
    expected = loss_of(model, without_bins_alone(batch)) + alone
    torch.testing.assert_close(loss_of(model, batch), expected)


def test_a_step_in_pieces_has_the_loss_and_gradients_of_the_whole(batch: dict[str, Any]) -> None:
    model = masked_lm()
    whole, gradients = loss_and_gradients(model, batch)
    model.zero_grad()
    pieces = [loss_of(model, part) / 5 for part in (rows(batch, 0, 1), rows(batch, 1, 3))]
    sum(pieces).backward()
    torch.testing.assert_close(sum(pieces).detach(), whole)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-6, msg=name)


def rows(batch: dict[str, Any], first: int, last: int) -> dict[str, Any]:
    """Return these rows of a padded batch, with their targets."""
    length = batch["input_ids"].shape[1]
    targets = dict(batch["targets"])
    for place, names in (
        ("masked_index", ("labels", "bin_labels")),
        ("bin_only_index", ("bin_only_labels",)),
    ):
        row = targets[place] // length
        chosen = (row >= first) & (row < last)
        targets |= {name: targets[name][chosen] for name in names}
        targets[place] = targets[place][chosen] - first * length
    inputs = {name: values[first:last] for name, values in batch.items() if name != "targets"}
    return {**inputs, "targets": targets}
