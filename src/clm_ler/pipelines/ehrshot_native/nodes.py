"""What a site has beside its events: its own splits, and its own codes as tokens."""

import ibis
import ibis.expr.types as ir

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.tables.screening import name_codes
from clm_ler.tokens import BASELINE, code_token


def adopt_splits(ehrshot_person_splits: ir.Table) -> ir.Table:
    """Return the benchmark's splits as those that ``split`` has to keep to."""
    return ehrshot_person_splits


def keep_codes(source_codes: ir.Table, options: PreprocessOptions) -> ir.Table:
    """Return ``code_translations`` that give each code the token that ``preprocess`` makes of it."""
    codes = source_codes.select(
        "system", "code", source_system=source_codes.system, source_code=source_codes.code
    )
    described = codes.system.upper().isin(list(BASELINE))
    persons = codes.filter(described)
    named = persons.mutate(system=persons.system.upper()).union(
        name_codes(codes.filter(~described), options.code_systems)
    )
    return named.select(
        "source_system",
        "source_code",
        vocab_token=code_token(named.system, named.code),
        method=ibis.literal("native"),
        rank=ibis.literal(0, "int64"),
    )
