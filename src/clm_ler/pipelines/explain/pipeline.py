"""The wiring of ``explain``: what ``finetune`` has made, to what its predictions rest on."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

figures = Functions("clm_ler.pipelines.explain.figures")
nodes = Functions("clm_ler.pipelines.explain.nodes")
person = Functions("clm_ler.pipelines.explain.person")

READ = ["samples", "labelled_encoded", "tokenizer", "finetuned_model"]
OPTIONS = "params:explain"


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(
                nodes.explain_samples,
                inputs=[*READ, OPTIONS],
                outputs="contributions",
                name="explain_samples",
            ),
            Node(
                nodes.summarise_contributions,
                inputs=["contributions", "code_names", OPTIONS],
                outputs="contribution_summary",
                name="summarise_contributions",
            ),
            Node(
                nodes.vary_labs,
                inputs=[*READ, "contribution_summary", OPTIONS],
                outputs="lab_counterfactuals",
                name="vary_labs",
            ),
            Node(
                nodes.check_explanations,
                inputs=[*READ, "contributions", "known_causes", OPTIONS, "params:seed"],
                outputs="explanation_checks",
                name="check_explanations",
            ),
            Node(
                figures.plot_contributions,
                inputs="contribution_summary",
                outputs="contribution_figure",
                name="plot_contributions",
            ),
            Node(
                figures.plot_counterfactuals,
                inputs="lab_counterfactuals",
                outputs="counterfactual_figure",
                name="plot_counterfactuals",
            ),
            Node(
                person.draw_person,
                inputs=[*READ, "person_ids", "code_names", OPTIONS],
                outputs="person_timeline",
                name="draw_person",
            ),
        ]
    )
