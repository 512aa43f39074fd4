"""The broader codes of an OMOP vocabulary."""

import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import or_empty
from clm_ler.terminology.omop import CONCEPT, CONCEPT_ANCESTOR


def token_ancestors(
    count_tokens: ir.Table, concept: ir.Table | None, concept_ancestor: ir.Table | None
) -> ir.Table:
    """Return the ancestors of the counted codes: ``token``, ``ancestor``, itself among them.

    Args:
        count_tokens: ``token`` (``SNOMED/44054006``) and ``official``: whether ancestors count.
        concept: OMOP ``concept``, where there is a vocabulary.
        concept_ancestor: OMOP ``concept_ancestor``, where there is one.
    """
    concept = or_empty(concept, CONCEPT)
    concept_ancestor = or_empty(concept_ancestor, CONCEPT_ANCESTOR)
    names = concept.select(
        concept_id=concept.concept_id.try_cast("int64"),
        name=concept.vocabulary_id + "/" + concept.concept_code.cast("string"),
    )
    links = concept_ancestor.select(
        child=concept_ancestor.descendant_concept_id.try_cast("int64"),
        parent=concept_ancestor.ancestor_concept_id.try_cast("int64"),
    )
    counted = count_tokens.filter(_.official).select("token").distinct()
    children = counted.join(names, counted.token == names.name).select("token", "concept_id")
    parents = names.select(parent_id="concept_id", ancestor="name")
    linked = children.join(links, children.concept_id == links.child)
    named = linked.join(parents, linked.parent == parents.parent_id)
    return named.select("token", "ancestor").distinct()
