"""Ways from one code to another, each a table of candidates.

A *source* row is a code of the data (``source_system``, ``source_code``) with its ``system`` and
``code`` in the common naming, a *target* row a token of the vocabulary (``vocab_token``,
``frequency_rank``) in the same naming. Every function returns CANDIDATE columns; ``distance``
tells how far a way goes, so that nearer tokens win within a method.
"""

from collections.abc import Callable, Mapping
from functools import partial, reduce

import ibis
import ibis.expr.types as ir

from clm_ler.terminology.codes import canonical_code, ndc_alternative
from clm_ler.terminology.systems import token_system, usual_name
from clm_ler.tokens import split_column

SOURCE = ("source_system", "source_code")
KEY = ("system", "code")
CANDIDATE = (*SOURCE, "vocab_token", "frequency_rank", "distance")


def given_name(system: str, names: Mapping[str, str]) -> str | None:
    """Return the name that is given to a code system, as it is written, by its usual name or by its tokens'."""
    known = (system, usual_name(system), token_system(system, {}))
    return next((names[one] for one in known if one in names), None)


def common_name(system: str, names: Mapping[str, str]) -> str:
    """Return a code system's common name, in upper case; one without an entry keeps its own.

    >>> common_name("http://loinc.org", {"LOINC": "LNC"}), common_name("Read", {})
    ('LNC', 'READ')
    """
    return (given_name(system, names) or token_system(system, {})).upper()


def name_sources(codes: ir.Table, names: Mapping[str, str]) -> ir.Table:
    """Return ``system`` and ``code`` of the data's codes, twice where an NDC can be read twice."""
    system = _by_system(codes, partial(common_name, names=names))
    named = codes.select(
        system=system,
        code=canonical_code(_by_system(codes, usual_name), codes.code),
        source_system="system",
        source_code="code",
        other_code=ibis.ifelse(system == "NDC", ndc_alternative(codes.code), ibis.null("string")),
    )
    other = named.filter(named.other_code.notnull()).mutate(code="other_code")
    return named.union(other).drop("other_code").distinct()


def name_targets(tokens: ir.Table, names: Mapping[str, str]) -> ir.Table:
    """Return ``system`` and ``code`` of the vocabulary's codes."""
    return tokens.select(
        "vocab_token",
        "frequency_rank",
        system=_by_system(tokens, partial(common_name, names=names)),
        code=canonical_code(tokens.system, tokens.code),
    )


def _by_system(codes: ir.Table, name: Callable[[str], str]) -> ir.StringValue:
    """Return what a function makes of each row's system; it is asked once for each."""
    systems = codes.select("system").distinct().to_pyarrow()["system"].to_pylist()
    names = {one: name(one) for one in systems if one is not None}
    return codes.system.substitute(names) if names else codes.system


def same_code(sources: ir.Table, targets: ir.Table) -> ir.Table:
    """Return the tokens of the very codes."""
    return _candidates(sources.join(targets, KEY), 0)


def concepts_of(codes: ir.Table, concepts: ir.Table) -> ir.Table:
    """Return the codes' concepts (``cui``) in place of their spelling."""
    return codes.join(concepts, KEY).drop("code").distinct()


def same_concept(starts: ir.Table, ends: ir.Table) -> ir.Table:
    """Return the tokens whose code stands for a concept of the source code.

    Args:
        starts: The concepts of sources (:func:`concepts_of`).
        ends: The concepts of targets.
    """
    return _candidates(starts.join(ends.drop("system"), "cui"), 0)


def linked_concept(starts: ir.Table, ends: ir.Table, links: ir.Table, steps: int) -> ir.Table:
    """Return the tokens whose concept is at most ``steps`` links from one of the source code's.

    Where the links name their ``system``, only those of the source code's own are followed.
    """
    by = [name for name in ("cui", "system") if name in links.columns]
    onward = links.select(*by, "linked_cui").distinct()
    reached, found = starts, []
    for distance in range(1, steps + 1):
        reached = reached.join(onward, by).drop("cui").rename(cui="linked_cui").distinct()
        found.append(_candidates(reached.join(ends.drop("system"), "cui"), distance))
    return reduce(ir.Table.union, found)


def category_code(sources: ir.Table, targets: ir.Table, steps: int) -> ir.Table:
    """Return the tokens of the codes that an ICD code belongs to: J45.901, J45.90, J45.9, J45."""
    dotted = sources.filter(sources.system.startswith("ICD"), sources.code.contains("."))
    found = []
    for distance in range(1, steps + 1):
        kept = dotted.code.length() - distance
        longer = dotted.filter(kept > dotted.code.find("."))
        category = longer.mutate(code=longer.code.substr(0, kept).re_replace(r"\.$", ""))
        found.append(_candidates(category.join(targets, KEY), distance))
    return reduce(ir.Table.union, found)


def equivalent_code(sources: ir.Table, targets: ir.Table, maps: ir.Table) -> ir.Table:
    """Return the tokens of the codes that ``maps`` names (``system``, ``code``, ``to_*``)."""
    mapped = sources.join(maps, KEY).select(*SOURCE, "distance", system="to_system", code="to_code")
    return mapped.join(targets, KEY).select(*CANDIDATE).distinct()


def tokens_by_code(code_translations: ir.Table) -> ir.Table:
    """Return the system and code of each code's token: SOURCE columns, ``to_system``, ``to_code``."""
    system, code = split_column(code_translations.vocab_token)
    return code_translations.select(*SOURCE, to_system=system, to_code=code)


def _candidates(joined: ir.Table, distance: int) -> ir.Table:
    return joined.mutate(distance=ibis.literal(distance, "int64")).select(*CANDIDATE).distinct()
