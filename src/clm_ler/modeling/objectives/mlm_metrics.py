"""Masked-code metrics, and the baselines that know nothing of context.

Everything is a sum over masked positions, one row per code system, so that batches and ranks add up
exactly. Models and baselines are scored by the same function on the same masks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clm_ler.modeling.data.batches import Batch
from clm_ler.modeling.data.samples import NO_LABEL
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.objectives.base import Sums
from clm_ler.tokens import system_of

TOP = (1, 5, 10)
COLUMNS = ("n", "nll", "top1", "top5", "top10", "bins", "bin_nll", "bin_exact", "bin_within_one")
ROWS_PER_BLOCK = 65_536


@dataclass(frozen=True)
class CodeSystems:
    """The code system of each token.

    Attributes:
        names: The systems, such as ``ICD10CM``, in order.
        of_token: The number of each token's system, ``[vocab_size]``.
    """

    names: tuple[str, ...]
    of_token: Tensor

    @classmethod
    def from_tokens(cls, tokens: Sequence[str]) -> "CodeSystems":
        """Read the systems off the tokens: ``LOINC:2345-7`` is of ``LOINC``, ``[CLS]`` of itself."""
        systems = [system_of(token) for token in tokens]
        names = tuple(sorted(set(systems)))
        number = {name: i for i, name in enumerate(names)}
        return cls(names, torch.tensor([number[system] for system in systems]))


def score(
    targets: Mapping[str, Tensor], logits: Tensor, bin_logits: Tensor | None, systems: CodeSystems
) -> Tensor:
    """Return the sums of :data:`COLUMNS` over the masked positions, ``[systems, columns]``, fp64.

    A top-k hit is a true code among the k highest logits; a bin is judged given the true code.

    Args:
        targets: ``labels`` and ``bin_labels``, ``[masked]``.
        logits: Of the codes, ``[masked, vocab_size]``.
        bin_logits: Of the lab bins, ``[masked, num_lab_bins]``, if they are predicted.
        systems: The code system of each token.
    """
    labels = targets["labels"].to(logits.device)
    ranked = logits.topk(min(max(TOP), logits.shape[-1]), dim=-1).indices
    hits = ranked == labels[:, None]
    columns = [torch.ones_like(labels), F.cross_entropy(logits.float(), labels, reduction="none")]
    columns += [hits[:, :k].any(dim=-1) for k in TOP]
    columns += _bin_columns(targets.get("bin_labels"), bin_logits, labels)
    values = torch.stack([column.double() for column in columns], dim=1).cpu()
    sums = values.new_zeros(len(systems.names), len(COLUMNS))
    return sums.index_add(0, systems.of_token[labels.cpu()], values)


def _bin_columns(truth: Tensor | None, logits: Tensor | None, labels: Tensor) -> list[Tensor]:
    if truth is None or logits is None or not logits.shape[-1]:  # a site without laboratory results
        return [torch.zeros_like(labels)] * 4
    truth = truth.to(logits.device)
    known = truth != NO_LABEL
    classes = torch.where(known, truth - 1, 0)
    nll = F.cross_entropy(logits.float(), classes, reduction="none")
    distance = (logits.argmax(dim=-1) - classes).abs()
    return [known, nll * known, known & (distance == 0), known & (distance <= 1)]


def summarise(sums: Tensor, systems: CodeSystems) -> dict[str, Any]:
    """Return the metrics of the sums: overall, per code system, and of the lab bins.

    ``loss`` is in nats per masked code; ``perplexity`` its exponential; ``joint_loss`` counts code
    and lab bin as one event, -log p(code, bin), also in nats per masked code.
    """
    total = _named(sums.sum(dim=0))
    result = _rates(total) | {
        "perplexity": exp(min(total["nll"] / max(total["n"], 1), 700)),
        "joint_loss": (total["nll"] + total["bin_nll"]) / max(total["n"], 1),
        "by_system": {
            name: _rates(_named(row))
            for name, row in zip(systems.names, sums, strict=True)
            if row[0] > 0
        },
    }
    if bins := total["bins"]:
        result["lab_bins"] = {
            "n": int(bins),
            "loss": total["bin_nll"] / bins,
            "exact": total["bin_exact"] / bins,
            "within_one": total["bin_within_one"] / bins,
        }
    return result


def _named(row: Tensor) -> dict[str, float]:
    return dict(zip(COLUMNS, row.tolist(), strict=True))


def _rates(sums: dict[str, float]) -> dict[str, Any]:
    n = max(sums["n"], 1)
    return {
        "n": int(sums["n"]),
        "loss": sums["nll"] / n,
        "accuracy": {f"top{k}": sums[f"top{k}"] / n for k in TOP},
    }


@dataclass(frozen=True)
class UnigramCounts:
    """How often each code, and each lab bin of each code, occurs in the training data.

    Attributes:
        codes: ``[vocab_size]``; 0 for tokens that are never masked.
        bins: ``[vocab_size, num_lab_bins]``.
    """

    codes: Tensor
    bins: Tensor


def count_unigrams(store: TokenStore, maskable: np.ndarray, num_lab_bins: int) -> UnigramCounts:
    """Count the tokens of a store that masking may choose, block by block.

    Args:
        store: The training persons.
        maskable: Whether each token may be masked, ``[vocab_size]``.
        num_lab_bins: Lab bins B; token types 1 to B are bins.
    """
    size, types = len(maskable), num_lab_bins + 1
    counts = np.zeros(size * types, np.int64)
    for first in range(0, len(store), ROWS_PER_BLOCK):
        tokens = store.gather(np.arange(first, min(first + ROWS_PER_BLOCK, len(store))))
        pairs = tokens.input_ids.astype(np.int64) * types + tokens.token_type_ids
        counts += np.bincount(pairs, minlength=size * types)
    table = torch.from_numpy(counts.reshape(size, types) * maskable[:, None])
    return UnigramCounts(codes=table.sum(dim=1), bins=table[:, 1:])


def context_free_baselines(counts: UnigramCounts, systems: CodeSystems) -> dict[str, Sums]:
    """Return the sums of predictors that use no co-occurrence of codes.

    ``unigram``: the training frequency of each code. ``unigram_in_system``: the same, told the code
    system. ``own_history``: half the unigram, half the frequency among the person's other tokens in
    the window: what repeats will repeat. Lab bins: their training frequency given the code.
    Frequencies have one added to each count.
    """
    bins = (counts.bins + 1).float().log()

    def scored(predict: Callable[[Batch], Tensor]) -> Sums:
        def sums(batch: Batch) -> Tensor:
            targets = batch["targets"]
            return score(targets, predict(batch), bins[targets["labels"]], systems)

        return sums

    predictors = context_free_predictors(counts, systems)
    return {name: scored(predict) for name, predict in predictors.items()}


def context_free_predictors(
    counts: UnigramCounts, systems: CodeSystems
) -> dict[str, Callable[[Batch], Tensor]]:
    """Return the code logits of each baseline as a function of a batch, ``[masked, vocab_size]``."""
    codes = (counts.codes + (counts.codes > 0)).clamp(min=1e-3).double()
    unigram = (codes / codes.sum()).float()
    in_system = torch.full((len(systems.names), len(codes)), -torch.inf)
    tokens = torch.arange(len(codes))
    in_system[systems.of_token, tokens] = unigram.log()

    def own_history(batch: Batch) -> Tensor:
        ids, width = batch["input_ids"], batch["input_ids"].shape[1]
        seen = ids[batch["targets"]["masked_index"] // width]
        known = (counts.codes[seen] > 0).float()
        own = torch.zeros(len(seen), len(codes)).scatter_add(1, seen, known)
        own = own / known.sum(dim=1, keepdim=True).clamp(min=1)
        return (0.5 * unigram + 0.5 * own).log()

    def labels(batch: Batch) -> Tensor:
        found: Tensor = batch["targets"]["labels"]
        return found

    return {
        "unigram": lambda batch: unigram.log().expand(len(labels(batch)), -1),
        "unigram_in_system": lambda batch: in_system[systems.of_token[labels(batch)]].log_softmax(
            dim=-1
        ),
        "own_history": own_history,
    }


def results_table(result: Mapping[str, Any]) -> str:
    """Return what a model and its baselines reach on masked codes, in Markdown."""
    rows = [("**this model**", result), *result["baselines"].items()]
    lines = [
        "Codes were hidden and predicted from the rest of a person's record; loss is in nats per masked code.",
        "",
        "| | loss | perplexity | top 1 | top 5 | top 10 |",
        "|---|---|---|---|---|---|",
        *(_row(name, values) for name, values in rows),
    ]
    if bins := result.get("lab_bins"):
        lines += [
            "",
            f"Lab bins, the code being known: {bins['exact']:.3f} exact, "
            f"{bins['within_one']:.3f} within one bin.",
        ]
    return "\n".join(lines)


def _row(name: str, result: Mapping[str, Any]) -> str:
    """Return a line; figures are taken by name, because JSON keeps no order."""
    accuracy = " | ".join(f"{result['accuracy'][f'top{k}']:.3f}" for k in TOP)
    return f"| {name} | {result['loss']:.3f} | {result['perplexity']:.1f} | {accuracy} |"
