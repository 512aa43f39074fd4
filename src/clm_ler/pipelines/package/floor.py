"""Of how many persons the parts of a kit are, and what becomes of parts of too few."""

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.tables.encoding import TokenCodec, split_bins
from clm_ler.tables.labs.results import usable_results
from clm_ler.tables.labs.text_tokens import LAB
from clm_ler.tokens import SPECIAL_TOKENS, is_age

LAB_PERSONS = {"system": "string", "code": "string", "unit": "string", "persons": "int64"}


def count_lab_persons(
    lab_events: ir.Table | None,
    person_splits: ir.Table | None,
    unit_conversions: ir.Table | None,
    lab_percentiles: ir.Table | None,
    options: PreprocessOptions,
) -> ir.Table:
    """Return ``system, code, unit, persons`` of the persons whom units and percentiles are fitted on.

    A row with a unit counts those who have a number in it. One without a unit counts those of the lab's
    percentiles: who have a number whose unit converts; of a lab that has none but texts, who have a text.
    """
    if lab_events is None or person_splits is None:
        return ibis.memtable([], schema=LAB_PERSONS)
    if unit_conversions is None or lab_percentiles is None:
        return ibis.memtable([], schema=LAB_PERSONS)
    fitted = (
        person_splits.filter(_.split == "train") if options.fit_on == "train" else person_splits
    )
    rows = lab_events.semi_join(fitted, "person_id")
    numbers = usable_results(rows, options).select(*LAB, "unit", "person_id")
    convertible = unit_conversions.filter(_.status != "unconvertible")
    binned = lab_percentiles.filter(_.boundaries.length() > 0)
    behind = numbers.semi_join(convertible, [*LAB, "unit"]).semi_join(binned, LAB)
    behind = behind.select(*LAB, "person_id")
    if "text" in rows.columns:
        texts = rows.filter(_.text.notnull()).anti_join(binned, LAB)
        behind = behind.union(texts.select(*LAB, "person_id"))
    counts = {"persons": _.person_id.nunique()}
    by_unit = numbers.group_by(*LAB, "unit").agg(counts)
    by_lab = behind.group_by(LAB).agg(counts).mutate(unit=ibis.null("string"))
    return by_unit.union(by_lab.select(*LAB_PERSONS))


def check_tokens(
    tokenizer: PreTrainedTokenizerBase, token_counts: ir.Table, min_persons: int
) -> int:
    """Return the smallest number of persons that a token is of; ages are tokens whoever is of them.

    Raises:
        ValueError: If a token is of fewer than ``min_persons``.
    """
    persons = persons_of_words(tokenizer, token_counts)
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    counted = persons[[word not in SPECIAL_TOKENS and not is_age(word) for word, _id in words]]
    if few := int((counted < min_persons).sum()):
        raise ValueError(
            f"package: {few:,} of the {len(words):,} tokens of `tokenizer` are of fewer than {min_persons} "
            "persons (package.min_persons): train with vocab.min_persons of as many, from vocab on."
        )
    return int(counted.min(initial=np.iinfo(np.int64).max))


def persons_of_words(
    tokenizer: PreTrainedTokenizerBase, token_counts: ir.Table
) -> NDArray[np.int64]:
    """Return of how many fitted persons each token is at least, by its id.

    The bins of a lab add up (``code_persons``); of the codes that one token stands for, the most common
    counts, because one person may have several.
    """
    codec = TokenCodec.from_tokenizer(tokenizer)
    table = token_counts.select("token", "persons", "code_persons").to_pyarrow()
    texts = table["token"].combine_chunks()
    words = split_bins(texts, codec.bin_labels)[0]
    persons = table["code_persons" if codec.bin_labels else "persons"]
    rows = pa.table({"id": codec.lookup(texts)[0], "word": words, "persons": persons})
    by_word = rows.group_by(["id", "word"]).aggregate([("persons", "sum")])
    by_id = by_word.group_by("id").aggregate([("persons_sum", "max")])
    found = np.zeros(len(codec.tokens), np.int64)
    found[by_id["id"].to_numpy()] = by_id["persons_sum_max"].to_numpy()
    return found


def check_classes(label_persons: pa.Table, min_persons: int, calibrated: bool) -> int | None:
    """Return the smallest number of persons of a class that risks are calibrated on, if they are.

    Args:
        label_persons: Persons by task, split and class.
        min_persons: As many as it takes.
        calibrated: Whether the model's risks are calibrated, which is on the valid split.

    Raises:
        ValueError: If a class was trained on, or risks calibrated on, fewer than ``min_persons``.
    """
    uses = {"train": ("was trained", "")}
    if calibrated:
        advice = " Set finetune.recalibration to none, or give the valid split more persons."
        uses["valid"] = ("has its risks calibrated", advice)
    for row in label_persons.to_pylist():
        if row["split"] in uses and row["persons"] < min_persons:
            use, advice = uses[row["split"]]
            raise ValueError(
                f"package: `finetuned_model` {use} on {row['persons']} persons with class "
                f"{row['label']} of {row['task']}, fewer than {min_persons} (package.min_persons).{advice}"
            )
    valid = label_persons.filter(pc.equal(label_persons["split"], "valid"))
    return pc.min(valid["persons"]).as_py() if calibrated else None


def of_enough(
    table: ir.Table, counts: pa.Table, keys: list[str], min_persons: int
) -> tuple[pa.Table, int | None]:
    """Return the rows of a table that are of enough persons, in the order of the keys.

    Args:
        table: With the keys.
        counts: The keys, and ``persons``.
        keys: Columns.
        min_persons: As many as it takes.

    Returns:
        The rows, and the smallest number of persons of one of them; ``None`` of no rows.
    """
    persons = {tuple(row[key] for key in keys): row["persons"] for row in counts.to_pylist()}
    whole = table.to_pyarrow().sort_by([(key, "ascending") for key in keys])
    found = [persons.get(tuple(row.values()), 0) for row in whole.select(keys).to_pylist()]
    enough = [number >= min_persons for number in found]
    kept = [number for number in found if number >= min_persons]
    return whole.filter(pa.array(enough, pa.bool_())), min(kept, default=None)
