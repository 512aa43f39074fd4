"""The system and code of each row as its token has them: in one spelling, or translated."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from clm_ler.engines import embedded
from clm_ler.engines.portable import upper
from clm_ler.tables.labs.parsing import PUBLISHED, ResultOptions, canonical_word
from clm_ler.tables.screening import NO_TOKEN, PLACEHOLDER_CODE, first_reason
from clm_ler.terminology.codes import canonical_code
from clm_ler.terminology.systems import is_address, is_known, spelling_system, token_system
from clm_ler.terminology.translation import SOURCE, tokens_by_code
from clm_ler.tokens import BASELINE, code_token

logger = logging.getLogger(__name__)

MANY_ROWS = 1000  # of a code system that nobody has named


def name_codes(
    screened: ir.Table,
    code_systems: Mapping[str, str],
    placeholders: Sequence[str] = (),
    results: ResultOptions = PUBLISHED,
) -> ir.Table:
    """Return the rows with the project's system names and one spelling of each code.

    The spellings are made once per distinct code (and unit and text of labs), and joined as a small
    table. A row whose code is a placeholder is lost.
    """
    spelt = [name for name in ("system", "code", "unit", "text") if name in screened.columns]
    engine = embedded(screened)
    counted = screened.group_by(spelt).agg(rows=_.count())
    found = engine.backend.to_pyarrow(counted)
    # Systems are few: they are named here, not by a long expression for each code.
    for name, of in (("spelling", spelling_system), ("named", token_system)):
        systems = _mapped(found["system"], partial(of, own=code_systems))
        found = found.append_column(f"{name}_system", systems)
    _warn_of_systems(found, code_systems)
    codes = ibis.memtable(found.drop("rows"))
    names = codes.mutate(
        named_code=canonical_code(codes.spelling_system, codes.code),
        **({"named_unit": codes.unit} if "unit" in spelt else {}),
        **({"named_text": canonical_word(codes.text, results)} if "text" in spelt else {}),
    )
    names = names.drop("spelling_system")
    stands_for = upper(names.named_code).re_replace("^[0.]+$", "0")  # 0000 may have got a dot
    names = names.mutate(placeholder=stands_for.isin([*placeholders, ""]))
    named = [f"named_{name}" for name in spelt]
    names = engine.with_categories(engine.backend.to_pyarrow(names), named)
    same = [screened[name].identical_to(names[name]) for name in spelt]  # null, too
    columns: dict[str, Any] = {
        name: f"named_{name}" if name in spelt else name for name in screened.columns
    }
    joined = screened.join(names, same)
    placeholder = first_reason((joined.placeholder, PLACEHOLDER_CODE))
    columns["reason"] = joined.reason.coalesce(placeholder)
    return joined.select(**columns)


def _mapped(texts: pa.ChunkedArray, function: Callable[[str], str]) -> pa.Array:
    """Return what a function makes of each text, asked once for each distinct one; null stays null."""
    distinct = texts.unique()
    made = [None if text is None else function(text) for text in distinct.to_pylist()]
    return pa.array(made, pa.string()).take(pc.index_in(texts.combine_chunks(), distinct))


def _warn_of_systems(found: pa.Table, own: Mapping[str, str]) -> None:
    """Say in a line each how many systems are addresses still, and how many with many rows have no usual name."""
    rows: Counter[str] = Counter()
    for name, count in zip(*(found[c].to_pylist() for c in ("named_system", "rows")), strict=True):
        rows[name or ""] += count
    addresses = [name for name in rows if is_address(name)]
    unnamed = [
        name
        for name, count in rows.items()
        if name and count >= MANY_ROWS and not is_known(name, own) and name not in addresses
    ]
    # None is named: it may be one person's.
    for kind, names in (("are addresses", addresses), ("have no usual name", unnamed)):
        if names:
            logger.warning(
                "%d code systems of %d rows %s: see vocabulary_report, tokens_per_system. Name them in "
                "preprocess.code_systems, or as themselves if they are right; until then each is a system "
                "of its own.",
                len(names),
                sum(rows[name] for name in names),
                kind,
            )


def translate_codes(
    screened: ir.Table, code_translations: ir.Table, results: ResultOptions = PUBLISHED
) -> ir.Table:
    """Return the rows under the system and code of their tokens; a row without a token is lost.

    A code has one token at most, so there are as many rows as before.
    """
    tokens = tokens_by_code(code_translations)
    same = [screened.system == tokens.source_system, screened.code == tokens.source_code]
    joined = screened.left_join(tokens, same)
    words = {"text": canonical_word(joined.text, results)} if "text" in screened.columns else {}
    return joined.mutate(
        **words,
        system=joined.to_system.coalesce(joined.system),
        code=joined.to_code.coalesce(joined.code),
        reason=joined.reason.coalesce(first_reason((joined.to_code.isnull(), NO_TOKEN))),
    ).select(screened.columns)


def distinct_codes(screened: ir.Table) -> ir.Table:
    """Return ``system`` and ``code`` of the rows of all persons, once."""
    return ibis.memtable(
        embedded(screened).backend.to_pyarrow(screened.select("system", "code").distinct())
    )


def complete_translations(
    code_translations: ir.Table | None,
    codes: ir.Table,
    code_systems: Mapping[str, str],
    placeholders: Sequence[str],
) -> ir.Table:
    """Return the translations, and for every other code (``system, code``) the token of its own name."""
    spelt = codes.select(
        "system",
        "code",
        source_system=codes.system,
        source_code=codes.code,
        reason=ibis.null("int8"),
    )
    described = spelt.system.upper().isin(list(BASELINE))
    persons = spelt.filter(described)
    named = persons.mutate(system=persons.system.upper()).union(
        name_codes(spelt.filter(~described), code_systems, placeholders)
    )
    own = named.filter(named.reason.isnull()).select(
        *SOURCE,
        vocab_token=code_token(named.system, named.code),
        method=ibis.literal("native"),
        rank=ibis.literal(0, "int64"),
    )
    own = ibis.memtable(embedded(codes).backend.to_pyarrow(own))  # small, and for any connection
    if code_translations is None:
        return own
    found = code_translations.select(own.columns)
    return found.union(own.anti_join(found, SOURCE).cast(found.schema()))


def translate_demographics(
    demographics: ir.Table, code_translations: ir.Table, keep: bool = False
) -> ir.Table:
    """Return the persons with the values of their tokens; one without a token is not known, or kept.

    Systems go by their names in upper case: EHRSHOT writes ``Gender``.
    """
    tokens = tokens_by_code(code_translations)
    for system, column in BASELINE.items():
        values = tokens.filter(tokens.source_system.upper() == system)
        named = values.group_by("source_code").agg(token_value=_.to_code.min())
        joined = demographics.left_join(named, demographics[column] == named.source_code)
        value = joined.token_value.coalesce(joined[column]) if keep else joined.token_value
        demographics = joined.mutate(**{column: value}).select(demographics.columns)
    return demographics
