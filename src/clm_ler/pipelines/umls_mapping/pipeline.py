"""The wiring of ``umls_mapping``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

nodes = Functions("clm_ler.pipelines.umls_mapping.nodes")
icd_maps = Functions("clm_ler.terminology.icd_maps")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline from vocabularies and the data's codes to their tokens."""
    return Pipeline(
        [
            Node(
                nodes.extract_concepts,
                inputs=["umls_conso", "params:umls_mapping"],
                outputs="umls_concepts",
                name="extract_concepts",
            ),
            Node(
                nodes.extract_drug_codes,
                inputs=["umls_sat", "params:umls_mapping"],
                outputs="umls_attributes",
                name="extract_drug_codes",
            ),
            Node(
                nodes.extract_links,
                inputs=["umls_rel", "params:umls_mapping"],
                outputs="umls_relations",
                name="extract_links",
            ),
            Node(
                icd_maps.read_icd_maps,
                inputs=None,
                outputs="icd_maps",
                name="read_icd_maps",
            ),
            Node(
                nodes.name_codes,
                inputs=["source_codes", "tokenizer", "params:umls_mapping"],
                outputs=["named_sources", "named_targets"],
                name="name_codes",
            ),
            Node(
                nodes.find_concepts,
                inputs=[
                    "named_sources",
                    "named_targets",
                    "umls_concepts",
                    "umls_attributes",
                    "omop_concept",
                    "omop_concept_relationship",
                ],
                outputs=["source_concepts", "target_concepts"],
                name="find_concepts",
            ),
            Node(
                nodes.find_candidates,
                inputs=[
                    "named_sources",
                    "named_targets",
                    "source_concepts",
                    "target_concepts",
                    "umls_relations",
                    "omop_concept_relationship",
                    "icd_maps",
                    "tokenizer",
                    "params:umls_mapping",
                ],
                outputs="translation_candidates",
                name="find_candidates",
            ),
            Node(
                nodes.choose_translations,
                inputs="translation_candidates",
                outputs="code_translations",
                name="choose_translations",
            ),
            Node(
                nodes.report_translations,
                inputs=[
                    "source_codes",
                    "translation_candidates",
                    "code_translations",
                    "tokenizer",
                    "params:umls_mapping",
                ],
                outputs="translation_report",
                name="report_translations",
            ),
            Node(
                nodes.plot_translations,
                inputs="translation_report",
                outputs="translation_figure",
                name="plot_translations",
            ),
        ],
        tags="translation",
    )
