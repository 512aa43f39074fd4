"""Which codes a concept set stands for: wildcards, OMOP concepts with descendants, sets of ATLAS."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import small_table
from clm_ler.terminology.codes import canonical_code
from clm_ler.terminology.omop import is_valid
from clm_ler.terminology.systems import token_system

Code = tuple[str, str]  # system and code, as tokens have them


class Item(NamedTuple):
    """A concept of a set, and how much of the hierarchy it stands for."""

    concept_id: int
    descendants: bool
    excluded: bool


CONCEPT_SET = ibis.schema({"concept_id": "int64", "descendants": "boolean", "excluded": "boolean"})


def atlas_items(document: Any, subject: str) -> list[Item]:
    """Return the concepts of a concept set as OHDSI's ATLAS exports it (WebAPI 2.x).

    The expression itself (``items``), a concept set (``expression``), or a cohort definition with one
    set (``ConceptSets``) are known. Of a concept only its id counts: names and flags age. That mapped
    source concepts count as well (``includeMapped``) is always so here, see :func:`concept_set_codes`.

    Args:
        document: The JSON document.
        subject: What messages call it.

    Raises:
        ValueError: If the document is of another version, in one line.
    """
    fault = f"{subject} is no file that ATLAS 2 exports"
    found = document
    sets = found.get("ConceptSets") if isinstance(found, dict) else None
    if sets is not None:
        if len(sets) != 1:
            raise ValueError(f"{fault} for one set: it holds {len(sets)}. Export the one you mean.")
        found = sets[0]
    found = found.get("expression", found) if isinstance(found, dict) else found
    items = found.get("items") if isinstance(found, dict) else None
    if not isinstance(items, list) or not items:
        raise ValueError(f"{fault}: there is no list 'items' with concepts in it.")
    try:
        return [
            Item(
                int(item["concept"]["CONCEPT_ID"]),
                bool(item.get("includeDescendants", False)),
                bool(item.get("isExcluded", False)),
            )
            for item in items
        ]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ValueError(
            f"{fault}: an item has no whole number at concept.CONCEPT_ID. Export the set again."
        ) from None


def concept_set_codes(
    items: Iterable[Item],
    concept: ir.Table | None,
    relationship: ir.Table | None,
    ancestor: ir.Table | None,
    subject: str,
) -> set[Code]:
    """Return the codes of the concepts of a set, and the source codes that map to them.

    The ids and their descendants, less the excluded ones and theirs: an exclusion always wins, as in
    OHDSI's circe-be. An event may be stored under its source code: every code with a ``Maps to`` to a
    concept of the set counts, too. Messages begin with ``subject``, the name of what the set is for.

    Raises:
        ValueError: If there is no vocabulary, an id is not in it, or descendants are asked for and
            there is no ``concept_ancestor``.
    """
    items = list(items)
    if concept is None or relationship is None:
        raise ValueError(
            f"{subject} names OMOP concepts, and there is no vocabulary: give "
            "--params=vocabulary_root=DIR with CONCEPT, CONCEPT_RELATIONSHIP and CONCEPT_ANCESTOR."
        )
    if ancestor is None and any(item.descendants for item in items):
        raise ValueError(f"{subject} asks for descendants, and there is no CONCEPT_ANCESTOR.")
    _check_known(items, concept, subject)
    wanted = small_table([item._asdict() for item in items], CONCEPT_SET)
    ids = _expanded(wanted.filter(~_.excluded), ancestor)
    ids = ids.anti_join(_expanded(wanted.filter(_.excluded), ancestor), "concept_id")
    maps = relationship.filter(_.relationship_id == "Maps to", is_valid(_.invalid_reason))
    maps = maps.select(source=_.concept_id_1.cast("int64"), concept_id=_.concept_id_2.cast("int64"))
    sources = maps.semi_join(ids, "concept_id").select(concept_id="source")
    every = ids.union(sources, distinct=True)
    codes = concept.select(
        "vocabulary_id", "concept_code", concept_id=_.concept_id.cast("int64")
    ).semi_join(every, "concept_id")
    rows = codes.select(
        system=_.vocabulary_id, code=canonical_code(codes.vocabulary_id, codes.concept_code)
    )
    return {
        (token_system(row["system"], {}), row["code"])
        for row in rows.distinct().to_pyarrow().to_pylist()
    }


def _expanded(wanted: ir.Table, ancestor: ir.Table | None) -> ir.Table:
    """Return the ids of concepts, and those of their descendants where these are wanted."""
    own = wanted.select("concept_id")
    if ancestor is None:
        return own.distinct()
    links = ancestor.select(
        above=_.ancestor_concept_id.cast("int64"), concept_id=_.descendant_concept_id.cast("int64")
    )
    above = wanted.filter(_.descendants).select(above="concept_id")
    return own.union(links.semi_join(above, "above").select("concept_id"), distinct=True)


def _check_known(items: list[Item], concept: ir.Table, subject: str) -> None:
    wanted = {item.concept_id for item in items}
    ids = concept.select(concept_id=concept.concept_id.cast("int64"))
    known = set(
        ids.filter(_.concept_id.isin(sorted(wanted))).to_pyarrow()["concept_id"].to_pylist()
    )
    if missing := sorted(wanted - known):
        raise ValueError(
            f"{subject}: {len(missing)} of {len(wanted)} concepts are not in the vocabulary, "
            f"such as {missing[0]}."
        )


def matching_codes(
    patterns: Mapping[str, Iterable[str]], codes: Collection[Code]
) -> dict[Code, str]:
    """Return which of the codes a pattern of their system means, each with that pattern.

    Args:
        patterns: By system, however its name is written; ``*`` stands for any characters, ``?`` for one.
        codes: As tokens have them.

    >>> matching_codes({"ICD-10-CM": ["E11*"]}, [("ICD10CM", "E11.9"), ("ICD10CM", "E10.1")])
    {('ICD10CM', 'E11.9'): 'E11*'}
    """
    found: dict[Code, str] = {}
    for system, texts in patterns.items():
        usual = token_system(system, {})
        of_system = [code for code in codes if code[0] == usual]
        for text in texts:
            pattern = as_regex(text)
            found |= {code: text for code in of_system if re.fullmatch(pattern, code[1].upper())}
    return found


def as_regex(text: str) -> str:
    """Return the regular expression, in upper case, of a pattern with ``*`` and ``?``.

    >>> as_regex("e11*")
    'E11.*'
    """
    return re.escape(text.upper()).replace(r"\*", ".*").replace(r"\?", ".")
