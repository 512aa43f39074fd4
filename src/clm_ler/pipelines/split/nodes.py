"""Persons to splits."""

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import counts_of, row_count
from clm_ler.pipelines.split.options import SplitOptions
from clm_ler.tables.persons import person_key, with_own_ids
from clm_ler.tables.sources import require_columns
from clm_ler.tokens import SPLITS


def assign_splits(
    demographics: ir.Table,
    predefined_splits: ir.Table | None,
    pretraining_persons: ir.Table | None,
    person_ids: ir.Table,
    options: SplitOptions,
) -> ir.Table:
    """Return each person's split, with the own id where ids are not numbers.

    A predefined table decides alone; persons whom it does not list have no split. Otherwise persons of
    ``test_regions`` are test, and for the others the MD5 digest of the salted person_id decides. Persons
    on whom another run was pre-trained are only in train, and the others are divided so that the ratios
    hold over all persons.

    Raises:
        ValueError: If a table lacks a column, if the predefined one puts a person in two splits or names an
            unknown one, if it or ``test_regions`` puts one out of train who was pre-trained on, if nobody is
            of these regions, or if the pre-training has used more persons than train may have.
    """
    splits = _deal_out(
        demographics,
        _with_keys(predefined_splits, "predefined_splits", "person_id", "split"),
        _with_keys(pretraining_persons, "pretraining_persons", "person_id"),
        options,
    )
    return with_own_ids(splits, person_ids)


def _with_keys(table: ir.Table | None, name: str, *columns: str) -> ir.Table | None:
    if table is None:
        return None
    require_columns(table.columns, columns, name)
    return table.mutate(person_id=person_key(table.person_id))


def _deal_out(
    persons: ir.Table,
    predefined_splits: ir.Table | None,
    pretraining_persons: ir.Table | None,
    options: SplitOptions,
) -> ir.Table:
    if predefined_splits is not None:
        _check_predefined(predefined_splits)
        given = predefined_splits.select("person_id", "split").distinct()
        _check_pretrained(
            given.filter(_.split != "train"), pretraining_persons, "predefined_splits"
        )
        return persons.select("person_id").join(given, "person_id")
    if options.test_regions:
        held_out = persons.region.isin(options.test_regions).fill_null(False)
        test = persons.filter(held_out).select("person_id", split=ibis.literal("test"))
        _check_pretrained(test, pretraining_persons, "split.test_regions")
        if not row_count(test):
            raise ValueError("split.test_regions: no person of `demographics` has such a region.")
        others = persons.filter(~held_out)
        return test.union(_deal_out(others, None, pretraining_persons, options.without_test()))
    persons = persons.select("person_id")
    if pretraining_persons is None:
        return persons.mutate(split=_split_by_digest(persons, options.ratios, options.salt))
    known = pretraining_persons.select(known_id="person_id").distinct()
    marked = persons.left_join(known, persons.person_id == known.known_id)
    ratios = _ratios_of_others(marked, options)
    split = ibis.cases(
        (marked.known_id.notnull(), "train"), else_=_split_by_digest(marked, ratios, options.salt)
    )
    return marked.select("person_id", split=split)


def _split_by_digest(
    persons: ir.Table, ratios: tuple[float, float, float], salt: str
) -> ir.StringValue:
    """Return a split by the first 32 bits of the digest: equal in every engine, and without order."""
    digest = (ibis.literal(f"{salt}:") + persons.person_id.cast("string")).hexdigest("md5")
    train, valid, _test = ratios
    bits = digest.substr(0, 8)
    return ibis.cases(
        (bits < _threshold(train), "train"),
        (bits < _threshold(train + valid), "valid"),
        else_="test",
    )


def _threshold(share: float) -> str:
    """Return the hexadecimal text below which the share of all 32-bit digests lies."""
    bound = round(share * 2**32)
    return f"{bound:08x}" if bound < 2**32 else "g"


def _ratios_of_others(marked: ir.Table, options: SplitOptions) -> tuple[float, float, float]:
    """Return the ratios among the persons who were not pre-trained on."""
    counts = counts_of(marked.aggregate(all=_.count(), known=_.known_id.count()))
    train, valid, test = (ratio * counts["all"] for ratio in options.ratios)
    if counts["known"] > train:
        raise ValueError(
            f"split: the pre-training has used {counts['known']} of {counts['all']} persons, more "
            f"than train_ratio {options.train_ratio} allows: they may only be in train. Raise "
            "train_ratio, or leave persons out of the pre-training."
        )
    others = max(counts["all"] - counts["known"], 1)
    return (train - counts["known"]) / others, valid / others, test / others


def _check_pretrained(unseen: ir.Table, pretrained: ir.Table | None, name: str) -> None:
    """Raise if somebody was pre-trained on who is to be unseen."""
    if pretrained is not None and (seen := row_count(unseen.semi_join(pretrained, "person_id"))):
        raise ValueError(
            f"{name}: {seen} persons are in valid or test whom the pre-training has used "
            "(pretraining_persons): they may only be in train."
        )


def _check_predefined(splits: ir.Table) -> None:
    per_person = splits.group_by("person_id").agg(
        parts=_.split.nunique(), unknown=_.split.notin(SPLITS).fill_null(True).cast("int64").max()
    )
    found = per_person.aggregate(
        overlapping=(_.parts > 1).cast("int64").sum(), unknown=_.unknown.sum()
    )
    counts = counts_of(found)
    if counts["unknown"] or counts["overlapping"]:
        raise ValueError(
            f"predefined_splits: {counts['overlapping']} persons are in more than one split, "
            f"{counts['unknown']} in one that is none of {', '.join(SPLITS)}."
        )
