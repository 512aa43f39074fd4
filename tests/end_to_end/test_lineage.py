"""The lineage page explains the project: layers in one direction, nothing person-level shown."""

from collections import defaultdict

import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from clm_ler.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS
from clm_ler.tables.sources import RAW_TABLES
from tests.end_to_end.conftest import ROOT

LAYERS = [
    "raw",
    "intermediate",
    "primary",
    "feature",
    "model_input",
    "models",
    "model_output",
    "reporting",
]
PIPELINES = {
    "cohort",
    "split",
    "preprocess",
    "vocab",
    "ehrshot_read",
    "umls_mapping",
    "pretrain",
    "finetune",
    "ehrshot_eval",
}
OTHERS = {
    "cohort_omop",
    "embed",
    "embed_at",
    "explain",
    "ehrshot_native",
    "fhir_read",
    "label",
    "meds_export",
    "meds_labels",
    "package",
    "predict",
    "report",
    "site",
    "transfer",
}

# What Spark evaluates: the selection of raw rows, and small tables that are read by name.
ON_SPARK = {
    *(f"select_{table}_rows" for table in RAW_TABLES),
    *("patients", "diagnoses", "prescriptions", "procedures", "results"),  # of tables/fhir.py
    *("select_label_rows", "select_visit_rows", "select_death_rows"),
    *("draw_person", "give_reasons", "summarise_contributions", "tabulate_results"),
}


def catalog_of(env=None, **parameters):
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env=env, runtime_params=parameters) as session:
        return session.load_context().config_loader["catalog"]


@pytest.fixture(scope="module")
def catalog_config():
    return catalog_of()


def of_viz(entry):
    return entry.get("metadata", {}).get("kedro-viz", {})


def test_the_registry_has_the_pipelines_of_the_chain(catalog_config):
    assert set(pipelines) == PIPELINES | OTHERS | {"__default__"}
    named = {node.name for name in PIPELINES for node in pipelines[name].nodes}
    assert {node.name for node in pipelines["__default__"].nodes} == named


def test_typed_parameters_are_taken_whole(catalog_config):
    """Kedro makes a model of ``params:x`` and then finds no ``params:x.y`` in it."""
    taken = {
        name.removeprefix("params:").partition(".")[::2]
        for pipeline in pipelines.values()
        for name in pipeline.inputs()
        if name.startswith("params:")
    }
    assert {group for group, part in taken} >= {"finetune", "preprocess"}
    assert [f"params:{group}.{part}" for group, part in sorted(taken) if part] == []


@pytest.mark.parametrize("pipeline", ["__default__", *sorted(OTHERS)])
def test_layers_follow_one_another(catalog_config, pipeline):
    if pipeline == "ehrshot_native":  # of this environment only
        catalog_config = catalog_of("ehrshot", ehrshot_root="EHRSHOT_ASSETS")
    layer = {name: of_viz(entry).get("layer") for name, entry in catalog_config.items()}
    passed_on = {name for name, entry in catalog_config.items() if "PassedOn" in entry["type"]}
    unknown = [name for name in layer if layer[name] not in LAYERS and name not in passed_on]
    assert unknown == []
    following = defaultdict(set)
    for node in pipelines[pipeline].nodes:
        for dataset in node.inputs:
            following[dataset].update(node.outputs)
    # A dataset that is only passed on in memory has the layer of what is made of it.
    backwards = [
        (before, after)
        for before in layer
        for after in following[before]
        if layer[before] and layer.get(after)
        if LAYERS.index(layer[after]) < LAYERS.index(layer[before])
    ]
    assert backwards == []


def test_nothing_person_level_is_previewed(catalog_config):
    shown = [
        name
        for name, entry in catalog_config.items()
        if "PersonTable" in entry["type"]
        or "Encoded" in entry["type"]
        or of_viz(entry).get("layer") == "raw"
        if of_viz(entry).get("preview") is not False and not name.startswith(("umls", "omop"))
    ]
    assert shown == []


def test_all_but_a_few_functions_are_given_tables_of_duckdb():
    """So their tests need no Spark: only those of what is named here do, and users of other entries on Spark are told."""
    bootstrap_project(ROOT)
    given = {"engine": "pyspark"} | dict.fromkeys(("cdm_root", "meds_root", "fhir_root"), "/none")
    found = set()
    for env in ("spark", "omop", "meds", "fhir"):
        loader = CONFIG_LOADER_CLASS(
            str(ROOT / "conf"), env=env, runtime_params=given, **CONFIG_LOADER_ARGS
        )
        catalog = loader["catalog"]
        assert "PersonTable" in catalog["{table}_rows"]["type"]  # DuckDB reads the selected rows
        of_spark = {name for name, entry in catalog.items() if "'pyspark'" in str(entry)}
        for pipeline in pipelines.values():
            passed_on = set(of_spark)
            for node in pipeline.nodes:
                if passed_on & {*node.inputs}:
                    found.add(node.func.__name__)
                    passed_on |= {
                        name
                        for name in node.outputs
                        if not name.endswith("_rows")  # stored, as asserted above
                        and "PassedOn" in catalog.get(name, {"type": "PassedOn"})["type"]
                    }
    assert found == ON_SPARK
