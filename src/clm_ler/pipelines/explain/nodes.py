"""Samples and a fine-tuned model to contributions, what they say together, and how faithful they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from ibis import _
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clm_ler.corridor.samples import to_samples, wide_samples
from clm_ler.files.arrow import evenly_spaced
from clm_ler.files.progress import Progress
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.explanation.contributions import Explained, explain
from clm_ler.modeling.explanation.counterfactuals import risk_by_bin, samples_by_lab
from clm_ler.modeling.explanation.faithfulness import measure
from clm_ler.pipelines.explain.estimates import clustered_mean, clustered_ratio
from clm_ler.pipelines.explain.options import ExplainOptions
from clm_ler.terminology.names import names_of

OTHER = "other"
CONTRIBUTIONS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("person_id", pa.int64()),
        ("prediction_time", pa.timestamp("us")),
        ("log_odds", pa.float32()),
        ("baseline_log_odds", pa.float32()),
        ("gap", pa.float32()),
        ("token", pa.string()),
        ("bin", pa.string()),
        ("days_before", pa.int32()),
        ("from_code", pa.float32()),
        ("from_bin", pa.float32()),
        ("from_day", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Asked:
    """What is explained.

    Attributes:
        frame: The samples, see ``wide_samples``.
        samples: The same as the model reads them.
        store: The encoded persons.
        vocabulary: That of the model.
        task: The task.
        label: Of those who have the outcome.
        outcome: The number of the outcome among the model's.
    """

    frame: pd.DataFrame
    samples: Samples
    store: TokenStore
    vocabulary: Vocabulary
    task: str
    label: int
    outcome: int


def ask(
    samples: ir.Table,
    encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    model: PreTrainedModel,
    options: ExplainOptions,
) -> Asked:
    """Return the test samples to explain, evenly spaced.

    Raises:
        ValueError: If the model has no such task or class, or the test split has no sample of it.
    """
    tasks, classes = list(model.config.tasks), int(model.config.num_labels or 0)
    task = asked_task(model, options)
    if len(tasks) == 1 and options.label >= classes:
        raise ValueError(f"explain.label: the classes of '{task}' are 0 to {classes - 1}.")
    frame = wide_samples(samples.filter(samples.split == "test", samples.task == task))
    if frame.empty:
        raise ValueError(f"The test split has no sample of '{task}': nothing can be explained.")
    frame = frame.iloc[evenly_spaced(len(frame), options.samples)].reset_index(drop=True)
    store = TokenStore.from_arrow(encoded)
    read = (to_samples(frame, store), store, Vocabulary.from_tokenizer(tokenizer, model.config))
    outcome = (options.label, options.label) if len(tasks) == 1 else (1, tasks.index(task))
    return Asked(frame, *read, task, *outcome)


def asked_task(model: PreTrainedModel, options: ExplainOptions) -> str:
    """Return the task to explain.

    Raises:
        ValueError: If the model has no such task.
    """
    tasks = list(model.config.tasks)
    task = options.task or str(tasks[0])
    if task not in tasks:
        raise ValueError(f"explain.task: the model has no task '{task}', but {', '.join(tasks)}.")
    return task


def explain_samples(
    samples: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    finetuned_model: PreTrainedModel,
    options: ExplainOptions,
) -> pa.RecordBatchReader:
    """Return what each token of each sample adds to the log-odds, channel by channel.

    A row is a token. ``log_odds`` is that of the sample, ``baseline_log_odds`` what it would be if nothing
    were told; the contributions of its rows add up to their difference, but for ``gap``.
    """
    asked = ask(samples, labelled_encoded, tokenizer, finetuned_model, options)
    batches = explained_rows(asked, tokenizer, finetuned_model)
    return pa.RecordBatchReader.from_batches(CONTRIBUTIONS, batches)


def explained_rows(
    asked: Asked, tokenizer: PreTrainedTokenizerFast, model: PreTrainedModel
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of :func:`explain_samples`."""
    names = pa.array(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))), pa.string())
    labels = pa.array([None, *tokenizer.init_kwargs["bin_labels"]], pa.string())
    progress = Progress("explanations", len(asked.samples), "samples")
    read = (asked.store, asked.samples, asked.vocabulary, asked.outcome)
    for part in explain(model, *read):
        yield _rows(part, asked.frame, names, labels)
        progress.step(len(part.index))


def _rows(
    part: Explained, frame: pd.DataFrame, names: pa.Array, labels: pa.Array
) -> pa.RecordBatch:
    """Return a row for each token that tells of the person."""
    row, place = np.nonzero(part.inputs.told.cpu().numpy())
    found, about = part.contributions, frame.iloc[part.index[row]]
    codes, bins = (part.tokens[name][row, place] for name in ("input_ids", "token_type_ids"))
    before = part.inputs.actual.before.cpu().numpy()[row, place]
    columns = [
        about["sample_id"].to_numpy(),
        about["person_id"].to_numpy(),
        about["prediction_time"].to_numpy("datetime64[us]"),
        *(values[row] for values in (found.log_odds, found.baseline, found.gap)),
        names.take(pa.array(codes)),
        labels.take(pa.array(bins)),
        before.astype(np.int32),
        *(values[row, place] for values in (found.code, found.lab_bin, found.day)),
    ]
    arrays = [
        pa.array(values, kind) for values, kind in zip(columns, CONTRIBUTIONS.types, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=CONTRIBUTIONS)


def summarise_contributions(
    contributions: ir.Table, code_names: ir.Table | None, options: ExplainOptions
) -> ir.Table:
    """Return what each token adds on average, a row per token, the heaviest first.

    ``weight`` is the mean absolute contribution to a sample, over all samples, ``raises`` the mean of
    those that have the token; ``of_code``, ``of_bin`` and ``of_day`` are the channels' parts of it.
    Tokens of fewer than ``min_persons`` are one row, ``other``.
    """
    samples = contributions.sample_id.nunique()
    persons = contributions.group_by("token").agg(of=_.person_id.nunique())
    rows = contributions.join(persons, "token").mutate(
        token=ibis.ifelse(_.of >= options.min_persons, _.token, OTHER),
        total=_.from_code + _.from_bin + _.from_day,
    )
    by_sample = rows.group_by("token", "sample_id").agg(
        person_id=_.person_id.arbitrary(),
        mentions=_.count(),
        weight=_.total.abs().sum(),
        total=_.total.sum(),
        of_code=_.from_code.sum(),
        of_bin=_.from_bin.sum(),
        of_day=_.from_day.sum(),
    )
    found = by_sample.group_by("token").agg(
        persons=_.person_id.nunique(),
        mentions=_.mentions.sum(),
        weight=_.weight.sum() / samples.as_scalar(),
        raises=_.total.mean(),
        of_code=_.of_code.mean(),
        of_bin=_.of_bin.mean(),
        of_day=_.of_day.mean(),
    )
    told = found.filter(_.persons >= options.min_persons)
    names = names_of(told.token.as_table().to_pyarrow()["token"].to_pylist(), code_names)
    return (
        told.mutate(name=_.token.substitute(names))
        .relocate("name", after="token")
        .order_by(_.weight.desc(), "token")
    )


def vary_labs(
    samples: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    finetuned_model: PreTrainedModel,
    contribution_summary: ir.Table,
    options: ExplainOptions,
) -> ir.Table:
    """Return the mean risk with the last result of a lab in each bin, all else unchanged.

    The labs are those that weigh most, with results in at least ``min_persons`` samples' windows.
    """
    asked = ask(samples, labelled_encoded, tokenizer, finetuned_model, options)
    heaviest = contribution_summary.order_by(_.weight.desc(), "token").to_pandas()
    ids, labels = tokenizer.get_vocab(), tokenizer.init_kwargs["bin_labels"]
    shown = samples_by_lab(asked.store, asked.samples, asked.vocabulary, finetuned_model)
    parts: list[pd.DataFrame] = []
    for token, name in zip(heaviest["token"], heaviest["name"], strict=True):
        rows = shown.get(ids.get(token, -1), np.empty(0, np.int64))
        persons = asked.frame["person_id"].iloc[rows].nunique()
        if persons < options.min_persons or len(parts) == options.labs:
            continue
        of_lab = asked.samples[rows]
        reading = (asked.store, of_lab, asked.vocabulary, ids[token], asked.outcome)
        risks = risk_by_bin(finetuned_model, *reading)
        about = {"token": token, "name": name, "persons": persons, "bin": labels}
        parts.append(pd.DataFrame(about | {"risk": risks.mean(axis=0)}))
    columns = {"token": "string", "name": "string", "persons": "int64", "bin": "string"}
    empty = pd.DataFrame(columns=[*columns, "risk"])
    found = pd.concat(parts, ignore_index=True) if parts else empty
    return ibis.memtable(found, schema=columns | {"risk": "float64"})


def check_explanations(
    samples: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    finetuned_model: PreTrainedModel,
    contributions: ir.Table,
    known_causes: ir.Table | None,
    options: ExplainOptions,
    seed: int,
) -> dict[str, Any]:
    """Return how far the explanations can be trusted.

    ``gap``: the largest share of the absolute contributions by which they miss the difference that they
    add up to. ``deletion``, ``insertion``, ``occlusion``: see ``modeling.explanation.faithfulness``.
    ``causes``, of a simulated hospital: the share of the absolute contributions of true positives that
    lies on what drives the outcome there, and the share of their tokens that is. Means with 95 %
    intervals, clustered by person; none of fewer than ``min_persons``, for tracking takes them.
    """
    asked = ask(samples, labelled_encoded, tokenizer, finetuned_model, options)
    size = _.from_code.abs() + _.from_bin.abs() + _.from_day.abs()
    by_sample = contributions.mutate(size=size)
    gaps = by_sample.group_by("sample_id").agg(gap=_.gap.abs().max(), size=_["size"].sum())
    return {
        "task": asked.task,
        "samples": len(asked.samples),
        "gap": float((gaps.gap / gaps["size"]).max().execute()),
        **_faithfulness(finetuned_model, asked, options, seed),
        "causes": on_causes(contributions, known_causes, asked, options.min_persons),
    }


def _faithfulness(
    model: PreTrainedModel, asked: Asked, options: ExplainOptions, seed: int
) -> dict[str, Any]:
    rows = evenly_spaced(len(asked.samples), options.checked)
    rng, found = np.random.default_rng(seed), dict[str, NDArray[np.float64]]()
    if not len(rows):
        return dict.fromkeys(("deletion", "insertion", "occlusion"))
    for name in ("deletion", "insertion", "occlusion"):
        found[name] = np.full(len(rows), np.nan)
    occluded, progress = 0, Progress("checks of explanations", len(rows), "samples")
    checked = explain(model, asked.store, asked.samples[rows], asked.vocabulary, asked.outcome)
    for part in checked:
        measured = measure(model, part, asked.outcome, rng, occluded < options.occluded)
        for name in found:
            found[name][part.index] = getattr(measured, name)
        occluded += len(part.index)
        progress.step(len(part.index))
    persons = asked.frame["person_id"].to_numpy()[rows]
    return {
        name: clustered_mean(values, persons)
        if len(np.unique(persons[~np.isnan(values)])) >= options.min_persons
        else None
        for name, values in found.items()
    }


def on_causes(
    contributions: ir.Table, known_causes: ir.Table | None, asked: Asked, min_persons: int
) -> dict[str, Any] | None:
    """Return where the contributions of true positives lie.

    Nothing where the causes are not known, or there are fewer than ``min_persons``.
    """
    if known_causes is None:
        return None
    causes = known_causes.filter(known_causes.task == asked.task).select("token").distinct()
    wanted = causes.mutate(is_cause=True)
    rows = contributions.left_join(wanted, "token")
    by_sample = rows.group_by("sample_id", "person_id", "log_odds").agg(
        mass=(_.from_code + _.from_bin + _.from_day).abs().sum(),
        on_causes=ibis.ifelse(_.is_cause, (_.from_code + _.from_bin + _.from_day).abs(), 0.0).sum(),
        tokens=_.count().cast("float64"),
        causes=ibis.ifelse(_.is_cause, 1.0, 0.0).sum(),
    )
    frame = asked.frame[["sample_id", asked.task]].rename(columns={asked.task: "label"})
    found = by_sample.to_pandas().merge(frame, on="sample_id").sort_values("sample_id")
    positives = found["label"] == asked.label
    flagged = found["log_odds"] >= found["log_odds"].quantile(1 - positives.mean())
    true = found[positives & flagged]
    if true["person_id"].nunique() < min_persons or not causes.count().execute():
        return None
    persons = true["person_id"].to_numpy()
    return {
        "true_positives": len(true),
        "share_of_contributions": clustered_ratio(true["on_causes"], true["mass"], persons),
        "share_of_tokens": clustered_ratio(true["causes"], true["tokens"], persons),
    }
