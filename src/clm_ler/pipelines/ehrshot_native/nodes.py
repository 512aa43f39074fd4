"""What a site has beside its events: its own splits, and its own codes as tokens."""

import ibis.expr.types as ir

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.tables.coding import complete_translations


def adopt_splits(ehrshot_person_splits: ir.Table) -> ir.Table:
    """Return the benchmark's splits, as the ``predefined_splits`` of ``split``."""
    return ehrshot_person_splits


def keep_codes(
    source_codes: ir.Table, options: PreprocessOptions, given_translations: ir.Table | None = None
) -> ir.Table:
    """Return ``code_translations`` that give each code the token that ``preprocess`` makes of it.

    That is the code's own; or, with ``translations_from``, the one that was found for it, and its own
    only where there is none and ``preprocess.untranslated`` keeps it.
    """
    if given_translations is not None and not options.keeps_untranslated:
        return given_translations
    return complete_translations(
        given_translations, source_codes, options.code_systems, options.placeholder_codes
    )
