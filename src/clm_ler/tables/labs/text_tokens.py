"""Text results, such as POSITIVE, as tokens: those that enough persons have."""

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.tokens import lab_token

LAB = ("system", "code")


def count_texts(lab_events: ir.Table, person_splits: ir.Table, fit_on: str) -> ir.Table:
    """Return system, code, text and how many of the fitted persons have it."""
    fitted = person_splits if fit_on == "all" else person_splits.filter(_.split == "train")
    found = lab_events.filter(_.text.notnull()).semi_join(fitted, "person_id")
    return found.group_by(*LAB, "text").agg(persons=_.person_id.nunique())


def add_texts(lab_percentiles: ir.Table, text_counts: ir.Table, min_persons: int) -> ir.Table:
    """Return the percentiles with ``texts``, the list of each lab's text results that have a token.

    A lab that has none but texts has no boundaries.
    """
    kept = text_counts.filter(_.persons >= min_persons)
    by_lab = kept.group_by(LAB).agg(texts=_.text.collect())
    by_lab = by_lab.mutate(texts=_.texts.sort())
    named = by_lab.rename(text_system="system", text_code="code")
    same = [lab_percentiles.system == named.text_system, lab_percentiles.code == named.text_code]
    rows = lab_percentiles.outer_join(named, same)
    nothing = ibis.literal([], "array<float64>")
    return rows.select(
        system=rows.system.coalesce(rows.text_system),
        code=rows.code.coalesce(rows.text_code),
        base_unit=rows.base_unit.fill_null(""),
        n=rows.n.fill_null(0),
        n_distinct=rows.n_distinct.fill_null(0),
        boundaries=rows.boundaries.fill_null(nothing),
        texts=rows.texts.fill_null(ibis.literal([], "array<string>")),
    )


def text_rules(lab_events: ir.Table, lab_percentiles: ir.Table) -> ir.Table | None:
    """Return system, code, text and token of the text results that have one; nothing without any.

    Args:
        lab_events: Results, with ``text`` where texts are read.
        lab_percentiles: With ``texts`` where they were when it was fitted.
    """
    if "text" not in lab_events.columns or "texts" not in lab_percentiles.columns:
        return None
    rules = lab_percentiles.select(*LAB, text=_.texts.unnest())
    return rules.mutate(token=lab_token(_.system, _.code, _.text))


def text_tokens(lab_events: ir.Table, rules: ir.Table) -> ir.Table:
    """Return person_id, time and token of the text results that there are rules for."""
    return lab_events.join(rules, [*LAB, "text"]).select("person_id", "time", "token")
