"""What import-linter cannot say of the rooms: see docs/architecture.md."""

import ast
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "clm_ler"
FILES = sorted(SRC.rglob("*.py"))
SCRIPTS = sorted(Path(__file__).parents[1].glob("benchmarks/*.py"))
ENGINES = {"duckdb", "pyspark"}
# Longer than a file should be, each for a reason of its own: a model read in one sitting.
LONG_FILES = {"modeling_clm_ler.py": 400, "finetuning.py": 390}


def room(path):
    return path.relative_to(SRC).parts[0]


def nodes_of(path, *kinds):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


def places(kinds, found, rooms=(), outside=()):
    """File and line of each piece of syntax that ``found`` says yes to."""
    return [
        f"{path.relative_to(SRC)}:{node.lineno}"
        for path in FILES
        if (not rooms or room(path) in rooms) and room(path) not in outside
        for node in nodes_of(path, *kinds)
        if found(node)
    ]


def names(node):
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} | {
        part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)
    }


def texts(node):
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}


def test_engine_names_are_compared_in_engines_only():
    assert places((ast.Compare,), lambda node: texts(node) & ENGINES, outside={"engines"}) == []


@pytest.mark.parametrize("module", ["uuid", "hashlib", "tempfile"])
def test_names_aside_and_digests_are_made_in_files_only(module):
    def imports(node):
        found = [getattr(node, "module", None), *(alias.name for alias in node.names)]
        return module in found

    # Where the whole of a model is copied, the copy lies in a folder of the system's.
    outside = {"files"} | ({"datasets"} if module == "tempfile" else set())
    assert places((ast.Import, ast.ImportFrom), imports, outside=outside) == []


def test_files_are_put_in_place_in_files_only():
    def renames(node):
        return isinstance(node.func, ast.Attribute) and (
            node.func.attr == "mv"
            or (node.func.attr in ("rename", "replace") and names(node) & {"Path", "os", "shutil"})
        )

    assert places((ast.Call,), renames, outside={"files"}) == []


def test_texts_are_utf8_whatever_the_machine_is_set_to():
    def is_silent(node):
        reads = getattr(node.func, "attr", None) in ("read_text", "write_text")
        return reads and "encoding" not in {keyword.arg for keyword in node.keywords}

    assert places((ast.Call,), is_silent) == []


def test_no_key_depends_on_source_text():
    def reads_itself(node):
        return node.id == "__file__"

    assert [
        place
        for place in places((ast.Name,), reads_itself)
        if not place.startswith("__main__.py")  # the package's own name
    ] == []


def test_hooks_keep_nothing():
    def keeps(node):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(
            isinstance(target, ast.Attribute)
            and isinstance(target.value, ast.Name)
            and target.value.id == "self"
            for target in targets
        )

    assert places((ast.Assign, ast.AnnAssign, ast.AugAssign), keeps, rooms={"hooks"}) == []


def test_pipelines_open_no_files():
    def opens(node):
        return isinstance(node.func, ast.Name) and node.func.id in ("open", "Path")

    assert places((ast.Call,), opens, rooms={"pipelines", "corridor"}) == []


def test_functions_are_named_from_rooms_that_a_pipeline_may_enter():
    named = [
        (path.parent.name, node.args[0].value.split(".")[1:3])
        for path in SRC.glob("pipelines/*/pipeline.py")
        for node in nodes_of(path, ast.Call)
        if getattr(node.func, "id", None) == "Functions"
    ]
    assert named
    shared = ("corridor", "tables", "terminology")
    assert [
        (pipeline, place)
        for pipeline, place in named
        if place[0] not in shared and place != ["pipelines", pipeline]
    ] == []


# A pattern or a split that takes a token apart.
TOKEN_SYNTAX = re.compile(r"AGE:|GENDER:|RACE:|ETHNICITY:|REGION:|\[0-9\.\]\+-\[0-9")


def test_tokens_are_taken_apart_in_their_grammar_only():
    def takes_apart(node):
        if isinstance(node, ast.Call):
            split = isinstance(node.func, ast.Attribute) and node.func.attr in (
                "split",
                "partition",
                "rpartition",
                "rsplit",
            )
            return split and ":" in {getattr(arg, "value", None) for arg in node.args}
        return isinstance(node.value, str) and TOKEN_SYNTAX.search(node.value)

    docstrings = {
        (path, node.body[0].value.lineno)
        for path in FILES
        for node in nodes_of(path, ast.Module, ast.FunctionDef, ast.ClassDef)
        if node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }
    found = [
        f"{path.relative_to(SRC)}:{node.lineno}"
        for path in FILES
        if room(path) not in ("tokens.py", "simulation")
        for node in nodes_of(path, ast.Call, ast.Constant)
        if (path, node.lineno) not in docstrings and takes_apart(node)
    ]
    assert found == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_import_what_there_is(script):
    """Scripts are not run by the tests, and nobody else looks at what they import."""
    for node in nodes_of(script, ast.ImportFrom):
        if (node.module or "").partition(".")[0] == "clm_ler":
            module = import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name) or find_spec(f"{node.module}.{name.name}"), (
                    name.name
                )


def test_files_can_be_read_at_a_sitting():
    def most(path):
        if room(path) == "datasets" and path.name != "folder_query.py":
            return 120
        return LONG_FILES.get(path.name, 350)

    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    long = {str(path.relative_to(SRC)): n for path, n in lengths.items() if n > most(path)}
    assert long == {}


def test_functions_fit_in_a_glance():
    lengths = {
        f"{path.relative_to(SRC)}:{node.name}": body_length(node)
        for path in FILES
        if room(path) != "simulation" and path.name not in ("pipeline.py", "wiring.py")
        for node in nodes_of(path, ast.FunctionDef)
    }
    in_order = sorted(lengths.values())
    assert {name: n for name, n in lengths.items() if n > 50} == {}
    assert in_order[len(in_order) // 2] <= 6
    assert in_order[len(in_order) * 9 // 10] <= 17


def body_length(function):
    """Lines of a function below its signature and docstring."""
    body = function.body
    is_text = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    body = body[1:] if is_text else body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0
