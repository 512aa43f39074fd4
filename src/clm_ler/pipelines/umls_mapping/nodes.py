"""Translate the codes of the data into tokens of the vocabulary, by UMLS or OMOP vocabularies."""

from functools import reduce
from typing import Any, get_args

import ibis
import ibis.expr.types as ir
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from transformers import PreTrainedTokenizerBase

from clm_ler.corridor.figures import PALETTE, finish
from clm_ler.engines.portable import or_empty
from clm_ler.pipelines.umls_mapping import report
from clm_ler.pipelines.umls_mapping.options import Method, TranslationOptions
from clm_ler.terminology import omop, translation, umls
from clm_ler.tokens import BASELINE, is_age, split_token, without_bin, without_word

NO_METHOD = "no token"


def extract_concepts(umls_conso: ir.Table | None, options: TranslationOptions) -> ir.Table:
    """Return the codes of UMLS concepts: ``cui``, ``system``, ``code``."""
    conso = or_empty(umls_conso, umls.MRCONSO)
    return umls.concept_codes(conso, options.languages, options.suppressed)


def extract_drug_codes(umls_sat: ir.Table | None, options: TranslationOptions) -> ir.Table:
    """Return the NDC product codes of UMLS concepts: ``cui``, ``system``, ``code``."""
    sat = or_empty(umls_sat, umls.MRSAT)
    return umls.drug_codes(sat, options.ndc_sources, options.suppressed)


def extract_links(umls_rel: ir.Table | None, options: TranslationOptions) -> ir.Table:
    """Return parents and chosen relations of UMLS concepts: ``cui``, ``linked_cui``, ..."""
    rel = or_empty(umls_rel, umls.MRREL)
    return umls.concept_links(rel, options.relations, options.suppressed)


def name_codes(
    source_codes: ir.Table, tokenizer: PreTrainedTokenizerBase, options: TranslationOptions
) -> tuple[ir.Table, ir.Table]:
    """Return the data's codes and the vocabulary's under UMLS's names of systems: ``system`` and ``code``."""
    tokens = vocabulary_codes(tokenizer.get_vocab())
    dropped = [
        (source_codes.system.upper() == system)
        & source_codes.code.isin([code for code, value in mapping.items() if value is None])
        for system, mapping in options.demographic_mappings.items()
    ]
    return (
        translation.name_sources(
            source_codes.filter(~ibis.or_(*dropped)), options.data_to_umls_source_map
        ),
        translation.name_targets(tokens, options.vocab_to_umls_source_map),
    )


def find_concepts(
    named_sources: ir.Table,
    named_targets: ir.Table,
    umls_concepts: ir.Table,
    umls_attributes: ir.Table,
    omop_concept: ir.Table | None,
    omop_concept_relationship: ir.Table | None,
) -> tuple[ir.Table, ir.Table]:
    """Return the concepts of the data's codes and of the vocabulary's, by ``terminology``."""
    standard = omop.concept_codes(
        or_empty(omop_concept, omop.CONCEPT),
        or_empty(omop_concept_relationship, omop.CONCEPT_RELATIONSHIP),
    )
    concepts = (
        umls_concepts.union(umls_attributes)
        .mutate(terminology=ibis.literal("umls"))
        .union(standard.mutate(terminology=ibis.literal("omop")))
    )
    return (
        translation.concepts_of(named_sources, concepts),
        translation.concepts_of(named_targets, concepts),
    )


def find_candidates(
    named_sources: ir.Table,
    named_targets: ir.Table,
    source_concepts: ir.Table,
    target_concepts: ir.Table,
    umls_relations: ir.Table,
    omop_concept_relationship: ir.Table | None,
    icd_maps: ir.Table,
    tokenizer: PreTrainedTokenizerBase,
    options: TranslationOptions,
) -> ir.Table:
    """Return the candidate tokens of each code of the data, with the method that finds each.

    Columns: ``source_system``, ``source_code``, ``vocab_token``, ``method``, ``rank`` (the
    method's place in the order of preference, from 1), ``distance`` (within the method) and
    ``frequency_rank`` (the token's id: tokens are ordered by frequency).
    """
    umls_ends = (_within("umls", source_concepts), _within("umls", target_concepts))
    omop_ends = (_within("omop", source_concepts), _within("omop", target_concepts))
    parents = umls_relations.filter(umls_relations.relation == "parent")
    relations = umls_relations.filter(umls_relations.relation != "parent").drop("system")
    is_a = omop.concept_links(or_empty(omop_concept_relationship, omop.CONCEPT_RELATIONSHIP))
    steps = options.parent_steps
    ways = {
        "demographic": _demographics(named_sources, tokenizer.get_vocab(), options),
        "direct": translation.same_code(named_sources, named_targets),
        "same_cui": translation.same_concept(*umls_ends),
        "omop_maps_to": translation.same_concept(*omop_ends),
        "relation": translation.linked_concept(*umls_ends, relations, options.relation_steps),
        "icd_gem": translation.equivalent_code(named_sources, named_targets, icd_maps),
        "parent": translation.linked_concept(*umls_ends, parents, steps).union(
            translation.category_code(named_sources, named_targets, steps)
        ),
        "omop_is_a": translation.linked_concept(*omop_ends, is_a, steps),
    }
    ranked = [
        ways[method].mutate(method=ibis.literal(method), rank=ibis.literal(rank, "int64"))
        for rank, method in enumerate(options.methods, start=1)
    ]
    return (
        reduce(ir.Table.union, ranked)
        .group_by(*translation.SOURCE, "vocab_token", "method", "rank", "frequency_rank")
        .agg(distance=lambda t: t.distance.min())
    )


def _within(terminology: str, concepts: ir.Table) -> ir.Table:
    return concepts.filter(concepts.terminology == terminology).drop("terminology")


def vocabulary_codes(vocabulary: dict[str, int]) -> ir.Table:
    """Return the codes among the tokens: ``vocab_token``, ``frequency_rank``, ``system``, ``code``.

    ``vocab_token`` is the token without its lab bin; where several bins share it, the rank of the
    most frequent one counts. A lab of which there are only results in words (``LOINC:5778-6:YELLOW``) is a
    code, too. Demographic values are codes; ages and special tokens are not.
    """
    ranks: dict[str, int] = {}
    for token, rank in sorted(vocabulary.items(), key=lambda item: item[1]):
        if split_token(token)[1] and not is_age(token):
            code = without_bin(token)
            ranks.setdefault(code, rank)
            if code == token:  # what stands before a word may be the lab
                ranks.setdefault(without_word(token), rank)
    rows = [(token, rank, *split_token(token)) for token, rank in ranks.items()]
    schema = {
        "vocab_token": "string",
        "frequency_rank": "int64",
        "system": "string",
        "code": "string",
    }
    return ibis.memtable(rows, schema=schema)


def choose_translations(translation_candidates: ir.Table) -> ir.Table:
    """Return the best token of each source code: at most one, whatever the order of the rows.

    The order of preference is method, distance, frequency in the vocabulary, text of the token.
    """
    candidates = translation_candidates
    place = ibis.row_number().over(
        group_by=translation.SOURCE,
        order_by=[
            candidates[name] for name in ("rank", "distance", "frequency_rank", "vocab_token")
        ],
    )
    best = candidates.mutate(place=place).filter(lambda t: t.place == 0)
    return best.select(*translation.SOURCE, "vocab_token", "method", "rank")


def report_translations(
    source_codes: ir.Table,
    translation_candidates: ir.Table,
    code_translations: ir.Table,
    tokenizer: PreTrainedTokenizerBase,
    options: TranslationOptions,
) -> dict[str, Any]:
    """Return how much of the data's codes and events found a token, and what did not.

    Shares are of distinct codes and of events, in all, per code system and per method. A code is
    ambiguous where several tokens were equally near and their frequency decided. The agreement is
    that of the best tokens by UMLS and by OMOP, code by code.
    """
    codes = source_codes.select(
        source_system=source_codes.system,
        source_code=source_codes.code,
        events=source_codes.events,
    ).to_pandas()
    candidates = translation_candidates.to_pandas()
    translated = codes.merge(code_translations.to_pandas(), how="left", on=report.SOURCE)
    missing = translated[translated["vocab_token"].isna()]
    tied = report.ambiguous(translated, candidates)
    vocabulary = vocabulary_codes(tokenizer.get_vocab()).to_pandas()
    systems = {"data": codes["source_system"], "vocabulary": vocabulary["system"]}
    named = {
        "data": options.data_to_umls_source_map,
        "vocabulary": options.vocab_to_umls_source_map,
    }
    return {
        "all": report.coverage(translated),
        "systems": {
            system: report.coverage(rows) for system, rows in translated.groupby("source_system")
        },
        "systems_without_umls_name": {
            side: sorted(
                system
                for system in set(systems[side])
                if translation.given_name(system, named[side]) is None
                and system.upper() not in BASELINE
            )
            for side in named
        },
        "untranslated": report.most_frequent(missing.drop(columns="vocab_token"), options.listed),
        "ambiguous": {
            "codes": len(tied),
            "events": int(tied["events"].sum()),
            "most_frequent": report.most_frequent(tied, options.listed),
        },
        "agreement": report.agreement(candidates),
    }


def plot_translations(translation_report: dict[str, Any]) -> go.Figure:
    """Return a bar for each code system, the largest first: the share of its events by method."""
    systems = sorted(translation_report["systems"].items(), key=lambda item: -item[1]["events"])
    names = {system: f"{system} ({rows['events']:,})" for system, rows in systems}
    shares = pd.DataFrame(
        [
            (names[system], method, events / rows["events"])
            for system, rows in systems
            for method, events in _events_by_method(rows).items()
        ],
        columns=["system (events)", "method", "share of events"],
    )
    figure = px.bar(
        shares,
        x="share of events",
        y="system (events)",
        color="method",
        orientation="h",
        range_x=[0, 1],
        category_orders={
            "method": [*get_args(Method), NO_METHOD],
            "system (events)": list(names.values()),
        },
        color_discrete_sequence=PALETTE,
        color_discrete_map={NO_METHOD: "lightgray"},
    )
    figure.update_xaxes(tickformat=".0%").update_yaxes(title_text=None)
    events = sum(rows["events"] for _system, rows in systems)
    lost = sum(_events_by_method(rows)[NO_METHOD] for _system, rows in systems)
    finding = f"{1 - lost / max(events, 1):.0%} of the events have a token of the vocabulary"
    detail = "Events by code system (how many), and by how they came to their token"
    layout = {"legend_title_text": "", "margin": {"t": 110}}
    return finish(figure, finding, detail, height=210 + 28 * len(systems), **layout)


def _events_by_method(rows: dict[str, Any]) -> dict[str, int]:
    found = {method: counts["events"] for method, counts in rows["methods"].items()}
    return found | {NO_METHOD: rows["events"] - sum(found.values())}


def _demographics(
    named_sources: ir.Table, vocabulary: dict[str, int], options: TranslationOptions
) -> ir.Table:
    """Return the tokens that the parameters name for gender, race and ethnicity.

    Raises:
        ValueError: If a named token is not in the vocabulary.
    """
    named = {
        (system, code): f"{system}:{value}"
        for system, mapping in options.demographic_mappings.items()
        for code, value in mapping.items()
        if value is not None
    }
    if absent := sorted(set(named.values()) - set(vocabulary)):
        raise ValueError(
            f"umls_mapping: the vocabulary has no token {absent}, which gender_mapping, "
            "race_mapping or ethnicity_mapping name: correct the value, or give null to leave the "
            "code out"
        )
    rows = [(*key, token, vocabulary[token]) for key, token in named.items()]
    schema = {
        "name": "string",
        "code": "string",
        "vocab_token": "string",
        "frequency_rank": "int64",
    }
    tokens = ibis.memtable(rows, schema=schema)
    codes = named_sources.select(
        *translation.SOURCE, name=lambda t: t.source_system.upper(), code="source_code"
    )
    joined = codes.join(tokens, ["name", "code"]).mutate(distance=ibis.literal(0, "int64"))
    return joined.select(*translation.CANDIDATE).distinct()
