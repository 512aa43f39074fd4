"""The project's pipelines."""

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

from clm_ler.pipelines import predict, umls_mapping
from clm_ler.pipelines.site.pipeline import MAPPED, PREDICTED

# What a plain run means where the environment's `globals.yml` names no chain of its own.
CHAIN = (
    "cohort",
    "split",
    "preprocess",
    "vocab",
    "ehrshot_read",
    "umls_mapping",
    "pretrain",
    "finetune",
    "ehrshot_eval",
)


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines by name; ``__default__`` is the whole chain on the simulated hospital."""
    found = find_pipelines(raise_errors=True)  # only those that a run asks for
    pipelines = {name: _named(pipeline, name) for name, pipeline in found.items()}
    if "transfer" in pipelines:  # it ends with the translation of the codes it has counted
        pipelines["transfer"] += _named(umls_mapping.create_pipeline(), "umls_mapping")
    if "site" in pipelines:  # it stands around the translation of codes and the prediction
        mapping, risks = umls_mapping.create_pipeline(), predict.create_pipeline()
        inner = Pipeline(mapping, inputs=MAPPED) + Pipeline(risks, inputs=PREDICTED)
        pipelines["site"] = _named(found["site"] + inner, "site")
    chain = {name: pipelines[name] for name in CHAIN if name in pipelines}
    return chain | pipelines | {"__default__": sum(chain.values(), Pipeline([]))}


def _named(pipeline: Pipeline, name: str) -> Pipeline:
    """Return the pipeline as a namespace: kedro-viz draws each as one box, which can be opened.

    A node with a namespace of its own keeps it: pipelines that share it are run together with it once.
    """
    shared = [node for node in pipeline.nodes if node.namespace]
    own = Pipeline([node for node in pipeline.nodes if not node.namespace], tags=name)
    named = Pipeline(own, namespace=name, prefix_datasets_with_namespace=False)
    return named + Pipeline(shared)
