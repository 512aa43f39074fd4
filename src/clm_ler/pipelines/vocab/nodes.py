"""Sequences to a vocabulary."""

from collections import Counter
from typing import Any

import ibis
import ibis.expr.types as ir
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from clm_ler.corridor.figures import finish
from clm_ler.corridor.options import VocabOptions
from clm_ler.engines import embedded
from clm_ler.engines.portable import sum_int64
from clm_ler.tables.encoding import (
    COUNTED,
    COVERAGE,
    TokenCodec,
    count_within,
    parents,
    split_bins,
)
from clm_ler.tokens import (
    AGE,
    CLS,
    MASK,
    OLDEST_AGE,
    PAD,
    SEPARATOR,
    SPECIAL_TOKENS,
    SPLITS,
    UNK,
    age_token,
    bin_labels,
    is_age,
    system_of,
)


def count_tokens(sequences: ir.Table, options: VocabOptions) -> ir.Table:
    """Return ``token``, ``count`` and ``persons`` of every token text of the fitted persons.

    ``code_persons`` adds up, over the bins of a lab, to the persons who have the lab at all.
    """
    fitted = sequences if options.fit_on == "all" else sequences.filter(_.split == "train")
    # First within each person, so that the memory it takes grows with the tokens, not the persons.
    lists = fitted.select("sorted_event_tokens")
    counted = embedded(lists).map_arrow(
        lists, count_within, ["sorted_event_tokens"], COUNTED, digest="texts and codes"
    )
    counts = counted.select(own=_.counts.unnest()).group_by(token=_.own.token)
    found = counts.agg(
        count=sum_int64(_.own.n), persons=_.count(), code_persons=sum_int64(_.own.leads)
    )
    return found.order_by(ibis.desc("count"), "token")


def build_tokenizer(
    token_counts: ir.Table,
    lab_percentiles: ir.Table,
    options: VocabOptions,
    parent_tokenizer: PreTrainedTokenizerFast | None = None,
) -> PreTrainedTokenizerFast:
    """Return a word-level tokenizer whose words are whole tokens: special ones, then by frequency.

    ``[PAD]`` is 0, ``[UNK]`` 1, ``[CLS]`` 2, ``[MASK]`` 3; the rest by count descending, ties by
    text. Every age is a word, because a window may start at an age at which nobody's record does.
    Where a model is trained on (``pretrain.input_model``), its words come first, under their ids.

    Raises:
        ValueError: If the model's labs have other bins.
    """
    labels = _bin_labels(lab_percentiles) if options.split_percentile_tokens else []
    earlier = _words_of(parent_tokenizer, labels)
    counts, persons = _count_words(token_counts, labels, options)
    counts = _fold(counts, persons, options)
    kept = [word for word in counts if is_age(word) or not _is_rare(word, counts, persons, options)]
    ranked = sorted(kept, key=lambda word: (-counts[word], word))
    words = dict.fromkeys([*earlier, *SPECIAL_TOKENS, *ranked])
    room = max(options.vocabulary_size, len(earlier))
    ids = {word: index for index, word in enumerate(list(words)[:room])}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(ids, unk_token=UNK)),
        pad_token=PAD,
        unk_token=UNK,
        cls_token=CLS,
        mask_token=MASK,
        clean_up_tokenization_spaces=False,
        bin_labels=labels,
        parent_systems=list(options.parent_systems),
    )


def _words_of(parent_tokenizer: PreTrainedTokenizerFast | None, labels: list[str]) -> list[str]:
    """Return the words of the model that is trained on, by their ids; none where there is none."""
    if parent_tokenizer is None:
        return []
    theirs = parent_tokenizer.init_kwargs["bin_labels"]
    if theirs != labels:
        raise ValueError(
            f"vocab: the labs of pretrain.input_model have {len(theirs)} bins, these have "
            f"{len(labels)}: take its own, --params=fitted_from=STORAGE_OF_ITS_TRAINING."
        )
    ids = parent_tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def _bin_labels(lab_percentiles: ir.Table) -> list[str]:
    """Return the names of the lab bins; none where no lab has percentiles."""
    boundaries = lab_percentiles.boundaries.length().max().to_pyarrow().as_py()
    return bin_labels(boundaries + 1) if boundaries else []


def _count_words(
    token_counts: ir.Table, labels: list[str], options: VocabOptions
) -> tuple[Counter[str], Counter[str]]:
    """Return events and persons of the words that token texts become: without bins, ages as chosen."""
    table = token_counts.select("token", "count", "persons", "code_persons").to_pyarrow()
    words = split_bins(table["token"].combine_chunks(), labels)[0].to_pylist()
    counts: Counter[str] = Counter()
    persons: Counter[str] = Counter()
    if not options.single_age_token:
        counts.update({age_token(age): 0 for age in range(OLDEST_AGE + 1)})
    of_words = table["code_persons" if labels else "persons"].to_pylist()
    for word, count, seen in zip(words, table["count"].to_pylist(), of_words, strict=True):
        word = AGE if options.single_age_token and is_age(word) else word
        counts[word] += count
        persons[word] += seen
    return counts, persons


def _is_rare(
    word: str, counts: Counter[str], persons: Counter[str], options: VocabOptions, cut_off: int = 0
) -> bool:
    fewest = max(options.min_count, cut_off)
    return counts[word] < fewest or persons[word] < options.min_persons


def _fold(counts: Counter[str], persons: Counter[str], options: VocabOptions) -> Counter[str]:
    """Return the counts with those of rare codes added to their next broader code, repeatedly.

    Rare is what ``min_count``, ``min_persons`` or ``vocabulary_size`` would leave out. As one person may
    have many of the codes, a broader one is sure to be of as many as the most common of them, no more.
    """
    if not options.parent_systems:
        return counts
    room = options.vocabulary_size - len(SPECIAL_TOKENS)
    ranked = sorted(counts.values(), reverse=True)
    cut_off = max([0, *ranked[room - 1 : room]])
    folded = counts.copy()
    by_length = sorted(counts, key=len, reverse=True)
    longest = len(by_length[0]) if by_length else 0
    for length in range(longest, 0, -1):  # children first: their sums may be frequent enough
        rare = [
            word
            for word in folded
            if len(word) == length and _is_rare(word, folded, persons, options, cut_off)
        ]
        broader = parents(pa.array(rare, pa.string()), options.parent_systems).to_pylist()
        for word, parent in zip(rare, broader, strict=True):
            if parent is not None:
                folded[parent] += folded.pop(word)
                persons[parent] = max(persons[parent], persons[word])
    return folded


def report_vocabulary(
    sequences: ir.Table, tokenizer: PreTrainedTokenizerFast, options: VocabOptions
) -> dict[str, Any]:
    """Return what the vocabulary holds, what it covers in each split, and what it misses.

    Returns:
        ``size``, ``lab_bins``, ``tokens_per_system``; ``coverage`` by split and system (``all``
        among them): ``tokens``, ``persons`` who have any, and the shares ``tokens_covered``,
        ``persons_reached`` (at least one of their tokens is known) and ``persons_covered`` (all
        are); ``drift``: the change of ``tokens_covered`` from train to valid and to test;
        ``largest_uncovered``: token texts with their count over all splits. What fewer than
        ``min_persons`` persons have is not named.
    """
    codec = TokenCodec.from_tokenizer(tokenizer)
    rows = _count_coverage(sequences, codec).to_pyarrow().to_pylist()
    coverage: dict[str, dict[str, Any]] = {split: {} for split in SPLITS}
    for row in rows:
        if row["persons"] < options.min_persons and row["system"] != "all":
            continue
        coverage[row["split"]][row["system"]] = _shares(row)
    systems = Counter(system_of(word) for word in tokenizer.get_vocab() if SEPARATOR in word)
    return {
        "size": len(tokenizer),
        "lab_bins": len(tokenizer.init_kwargs["bin_labels"]),
        "tokens_per_system": dict(sorted(systems.items())),
        "coverage": coverage,
        "drift": {split: _drift(coverage["train"], coverage[split]) for split in SPLITS[1:]},
        "largest_uncovered": _largest_uncovered(sequences, codec, options),
    }


def _largest_uncovered(
    sequences: ir.Table, codec: TokenCodec, options: VocabOptions
) -> list[dict[str, str | int]]:
    """Return the most frequent token texts that are not known, with their counts."""
    everyone = options.model_copy(update={"fit_on": "all"})
    table = count_tokens(sequences, everyone).to_pyarrow().select(["token", "count", "persons"])
    ids, _bins = codec.lookup(table["token"].combine_chunks())
    enough = pc.greater_equal(table["persons"], options.min_persons)
    missed = table.filter(pc.and_(pc.equal(ids, codec.unknown), enough)).drop("persons")
    ranked = missed.sort_by([("count", "descending"), ("token", "ascending")])
    return ranked[: options.uncovered_codes].to_pylist()


def _count_coverage(sequences: ir.Table, codec: TokenCodec) -> ir.Table:
    """Return tokens and persons, and the known among them, per split and system and over all."""
    lists = sequences.select("split", "sorted_event_tokens")
    counted = embedded(lists).map_arrow(
        lists, codec.count_known, ["sorted_event_tokens"], COVERAGE, codec.digest
    )
    return (
        counted.select("split", entry=_.systems.unnest())
        .select("split", system=_.entry.system, tokens=_.entry.tokens, known=_.entry.known)
        .group_by("split", "system")
        .agg(
            tokens=_.tokens.sum(),
            known=_.known.sum(),
            persons=_.count(),
            reached=(_.known > 0).cast("int64").sum(),
            covered=(_.known == _.tokens).cast("int64").sum(),
        )
        .order_by("split", "system")
    )


def _shares(row: dict[str, Any]) -> dict[str, float]:
    return {
        "tokens": row["tokens"],
        "persons": row["persons"],
        "tokens_covered": row["known"] / row["tokens"],
        "persons_reached": row["reached"] / row["persons"],
        "persons_covered": row["covered"] / row["persons"],
    }


def _drift(train: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    return {
        system: other[system]["tokens_covered"] - shares["tokens_covered"]
        for system, shares in train.items()
        if system in other
    }


SYMBOLS = ("circle", "diamond", "x")  # of the splits


def plot_coverage(vocabulary_report: dict[str, Any]) -> go.Figure:
    """Return the share of tokens that the vocabulary covers: a mark for each split, by system."""
    coverage = {
        split: {system: shares["tokens_covered"] for system, shares in systems.items()}
        for split, systems in vocabulary_report["coverage"].items()
    }
    least = {
        system: min(shares.get(system, 1.0) for shares in coverage.values())
        for system in dict.fromkeys(system for shares in coverage.values() for system in shares)
    }
    systems = sorted(least, key=lambda system: (system != "all", least[system]), reverse=True)
    figure = go.Figure(
        [
            go.Scatter(
                name=split,
                x=[shares.get(system) for system in systems],
                y=systems,
                mode="markers",
                marker={"size": 10, "symbol": symbol},
            )
            for (split, shares), symbol in zip(coverage.items(), SYMBOLS, strict=True)
        ]
    )
    low = min([0.99, *least.values()])  # an axis that is too short to read would tell of nothing
    room = 0.03 * (1 - low)
    figure.update_xaxes(
        title_text="share of tokens", tickformat=".1~%", range=[low - room, 1 + room]
    )
    figure.update_yaxes(type="category")
    split = next((one for one in reversed(SPLITS) if coverage[one]), None)
    finding = "Vocabulary"
    if split:
        finding = (
            f"The vocabulary covers {coverage[split]['all']:.1%} of the {split} split's tokens"
        )
        finding += f", least of {systems[-2] if systems[-1] == 'all' and len(systems) > 1 else systems[-1]}"
    detail = "Share of tokens that are in the vocabulary, by code system and split"
    return finish(figure, finding, detail, height=190 + 28 * len(systems))
