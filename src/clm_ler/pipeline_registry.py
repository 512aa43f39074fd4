"""The project's pipelines."""

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

from clm_ler.pipelines import umls_mapping

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
    # Tagged by name, so that kedro-viz can show one at a time.
    if "transfer" in found:  # it ends with the translation of the codes it has counted
        found["transfer"] += umls_mapping.create_pipeline()
    pipelines = {name: Pipeline(pipeline, tags=name) for name, pipeline in found.items()}
    chain = {name: pipelines[name] for name in CHAIN if name in pipelines}
    return chain | pipelines | {"__default__": sum(chain.values(), Pipeline([]))}
