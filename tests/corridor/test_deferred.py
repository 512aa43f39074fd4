import inspect
import subprocess
import sys
from functools import partial

import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Deferred, Functions, import_functions

HEAVY = "torch transformers lightgbm pyspark sklearn scipy pandas plotly pint accelerate wandb"
BUILD = f"""
import sys
from kedro.framework.project import configure_project, pipelines
configure_project("clm_ler")
assert sum(len(pipeline.nodes) for pipeline in pipelines.values()) > 100
print(sorted(set({HEAVY.split()}) & set(sys.modules)))
"""


@pytest.fixture
def registered():
    configure_project("clm_ler")
    return pipelines


@pytest.mark.slow
def test_building_the_pipelines_imports_nothing_heavy():
    built = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True)
    assert built.stdout == "[]\n", built.stderr


def test_every_node_has_a_function_that_takes_its_inputs(registered):
    import_functions(registered.values())
    for name, pipeline in registered.items():
        for node in pipeline.nodes:
            assert not inspect.isgeneratorfunction(node.func)
            assert isinstance(node.func, partial) or inspect.getsourcefile(node.func), name
            args, keywords = Node._process_inputs_for_bind(node._inputs)
            inspect.signature(node.func, follow_wrapped=False).bind(*args, **keywords)


def test_a_deferred_function_is_called_by_its_name():
    upper = Functions("string").capwords
    assert (upper.__name__, upper.__module__) == ("capwords", "string")
    node = Node(upper, "words", "title")
    assert node.run({"words": "a node"}) == {"title": "A Node"}


def test_nodes_get_their_functions_once():
    named = partial(Deferred("string", "capwords"), sep="-")
    nodes = [Node(Deferred("string", "capwords"), "a", "b"), Node(named, "a", "c", name="named")]
    pipeline = Pipeline(nodes)
    for _ in range(2):
        import_functions([pipeline, Pipeline(nodes)])
    (whole, part) = (node.func for node in nodes)
    assert inspect.isfunction(whole) and whole.__module__ == "string"
    assert part.func is whole and part("a-b") == "A-B" and part.__name__ == "capwords"
