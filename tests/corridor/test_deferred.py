import ast
import inspect
import subprocess
import sys
import typing

import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.ipython import _load_node
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
            assert inspect.getsourcefile(node.func), name
            args, keywords = Node._process_inputs_for_bind(node._inputs)
            inspect.signature(node.func, follow_wrapped=False).bind(*args, **keywords)


def test_a_deferred_function_is_called_by_its_name():
    upper = Functions("string").capwords
    assert (upper.__name__, upper.__module__) == ("capwords", "string")
    assert typing.get_type_hints(upper) == {}  # what kedro-viz asks for, or warns of
    node = Node(upper, "words", "title")
    assert node.run({"words": "a node"}) == {"title": "A Node"}


def test_nodes_get_their_functions_once():
    nodes = [Node(Deferred("string", "capwords"), "a", "b")]
    for _ in range(2):
        import_functions([Pipeline(nodes), Pipeline(nodes)])
    assert inspect.isfunction(nodes[0].func) and nodes[0].func.__module__ == "string"


def test_load_node_writes_code_for_every_node(registered):
    import_functions(registered.values())
    nodes = {node.name: node for pipeline in registered.values() for node in pipeline.nodes}
    for name, node in nodes.items():
        with pytest.warns(UserWarning, match="experimental"):
            cells = _load_node(name, {"": Pipeline([node])})
        ast.parse("\n".join(cells))
        assert [cell for cell in cells if f"def {node.func.__name__}(" in cell], name
