"""How well a site's codes translate, from the small tables of codes and their tokens."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from clm_ler.terminology import translation

SOURCE = [*translation.SOURCE]  # as pandas takes several columns
UMLS_METHODS = ("same_cui", "relation", "parent")
OMOP_METHODS = ("omop_maps_to", "omop_is_a")


def coverage(rows: pd.DataFrame) -> dict[str, Any]:
    """Return counts, shares and methods of codes (``method`` null where not translated)."""
    translated = rows[rows["method"].notna()]
    by_method = translated.groupby("method")["events"].agg(codes="size", events="sum")
    return {
        "codes": len(rows),
        "events": int(rows["events"].sum()),
        "share_of_codes": _share(len(translated), len(rows)),
        "share_of_events": _share(translated["events"].sum(), rows["events"].sum()),
        "methods": by_method.to_dict("index"),
    }


def ambiguous(codes: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """Return the codes with several nearest tokens, and how many (``tokens``)."""
    tokens = _nearest(candidates).groupby(SOURCE, as_index=False)["vocab_token"].nunique()
    tied = tokens.rename(columns={"vocab_token": "tokens"}).query("tokens > 1")
    return codes.merge(tied, on=SOURCE)


def agreement(candidates: pd.DataFrame) -> dict[str, Any]:
    """Return how many codes UMLS and OMOP both lead somewhere, and how often to the same token."""
    umls, omop = (_best(candidates, methods) for methods in (UMLS_METHODS, OMOP_METHODS))
    both = umls.keys() & omop.keys()
    same = sum(umls[code] == omop[code] for code in both)
    return {
        "both": len(both),
        "same_token": same,
        "share": _share(same, len(both)),
        "only_umls": len(umls.keys() - both),
        "only_omop": len(omop.keys() - both),
    }


def most_frequent(codes: pd.DataFrame, listed: int) -> list[dict[str, Any]]:
    """Return the codes with most events, ties by name."""
    order = codes.sort_values(["events", *SOURCE], ascending=[False, True, True])
    columns = [*SOURCE, "events", *(name for name in ("tokens", "vocab_token") if name in codes)]
    return order.head(listed)[columns].to_dict("records")


def _nearest(candidates: pd.DataFrame) -> pd.DataFrame:
    for measure in ("rank", "distance"):
        least = candidates.groupby(SOURCE)[measure].transform("min")
        candidates = candidates[candidates[measure] == least]
    return candidates


def _best(candidates: pd.DataFrame, methods: Iterable[str]) -> dict[tuple[str, str], str]:
    """Return the best token by code, among those that the methods lead to."""
    nearest = _nearest(candidates[candidates["method"].isin(list(methods))])
    order = nearest.sort_values(["frequency_rank", "vocab_token"], ascending=False)
    return {(row.source_system, row.source_code): row.vocab_token for row in order.itertuples()}


def _share(part: float, whole: float) -> float | None:
    return round(float(part / whole), 6) if whole else None
