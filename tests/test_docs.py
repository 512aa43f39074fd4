"""README and docs: every command can be given as it stands, every name in a block exists.

Blocks that cannot run here say why in a comment before them: ``<!-- not run: reason -->``; their names
are checked all the same. What runs for real is in ``tests/end_to_end/test_docs.py``.
"""

import ast
import importlib.util
import json
import re
import runpy
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.project import configure_project, pipelines

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = ("kedro", "clm-ler", "python", "python3", "pip", "make", "pytest")
INDENTED = re.compile(rf"^    ((?:{'|'.join(PROGRAMS)}) .*)$", re.MULTILINE)
LAUNCHER = re.compile(r"^torchrun .* -m ")
INLINE = re.compile(r"`((?:kedro|clm-ler|make|pip) [^`]+)`")
OF_DOCS = {"mine", "mysite"}  # environments that the reader makes


@pytest.mark.slow
@pytest.mark.parametrize("script", ["make_parameters.py", "make_artifacts.py"])
def test_a_page_that_is_made_is_what_the_code_says(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script, "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "docs" / script), run_name="__main__")
    assert ended.value.code == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_links_of_the_site_stay_in_it():
    """A page outside of docs/ has no place there; `make docs` looks at the rest."""
    docs = ROOT / "docs"
    outside = {
        (page.name, link)
        for page in PAGES
        if page.is_relative_to(docs)
        for link in re.findall(r"\]\(([^)#:]+)", page.read_text())
        if not (page.parent / link).resolve().is_relative_to(docs)
    }
    assert outside == set()


@pytest.mark.parametrize(
    ("index", "link"), [("docs/README.md", r"\]\(([\w/]+\.md)"), ("mkdocs.yml", r": ([\w/]+\.md)")]
)
def test_the_index_and_the_site_name_every_page(index, link):
    named = {*re.findall(link, (ROOT / index).read_text()), "README.md"}
    assert {str(page.relative_to(ROOT / "docs")) for page in PAGES[1:]} == named


def blocks(page, *languages):
    return [text for language, text in FENCED.findall(page.read_text()) if language in languages]


def shell_lines(page):
    """The lines of a page's shell blocks, each command in one."""
    shell = re.sub(r" *\\\n *", " ", "\n".join(blocks(page, "sh")))
    return [line.strip() for line in shell.splitlines()]


def commands(page):
    """Every command of a page, one line each, without comments and what is said beside it."""
    text = page.read_text()
    prose = FENCED.sub("", text)
    lines = shell_lines(page) + INDENTED.findall(prose) + INLINE.findall(prose)
    parts = [part for line in lines for part in re.split(r" && |   +", re.sub(r"\s#.*", "", line))]
    given = [LAUNCHER.sub("", part.strip()).removesuffix(" &") for part in parts]
    return [part for part in given if part.startswith(PROGRAMS)]


def submissions(page):
    """What a page gives to spark-submit: its own options, and the program's."""
    lines = (shlex.split(line) for line in shell_lines(page) if line.startswith("spark-submit "))
    for _program, *words in lines:
        launched = next(n for n, word in enumerate(words) if word.endswith("launch.py"))
        yield words[:launched], words[launched + 1 :]


def submitted(page):
    """Commands that a cluster is given in another form: behind launch.py, or as a list in JSON."""
    lists = re.findall(r'\[\s*"--conf-source[^]]*\]', page.read_text())
    given = [words for _own, words in submissions(page)] + [json.loads(text) for text in lists]
    return [shlex.join(["clm-ler", *words]) for words in given]


COMMANDS = sorted({command for page in PAGES for command in commands(page) + submitted(page)})
# Of spark-submit's options those that the guides use; each takes a value.
SUBMIT = {
    *("--master", "--deploy-mode", "--archives", "--files", "--conf", "--packages"),
    *("--num-executors", "--executor-cores", "--executor-memory", "--driver-memory"),
}


@pytest.fixture(scope="module")
def names():
    """The parameters that can be given, dotted, and those that are read from the command line."""
    configure_project("clm_ler")
    spec = importlib.util.spec_from_file_location(
        "make_parameters", ROOT / "docs/make_parameters.py"
    )
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    dotted = {
        f"{group}.{row.split('`')[1]}"
        for group, model in make.parameter_models().items()
        for row in make.rows(model)
    }
    files = [*(ROOT / "conf").rglob("*.yml")]
    asked = {
        name for file in files for name in re.findall(r"runtime_params:(\w+)", file.read_text())
    }
    given = {"chain", "memory_limit", "threads", "seed", "check_values", "task"}
    return dotted | asked | given


@pytest.fixture(scope="module")
def kedro():
    return KedroCLI(ROOT)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[0] in ("kedro", "clm-ler")])
def test_a_kedro_command_can_be_given_as_it_stands(command, kedro, names):
    program, *words = shlex.split(command)
    words = [word for word in words if not word.startswith("--conf-source")]
    if program == "kedro":
        name, found, rest = kedro.resolve_command(
            kedro.make_context("kedro", [], resilient_parsing=True), words
        )
        if name != "run":
            assert found is not None
            return
    else:
        found, rest = kedro.get_command(None, "run"), words
    options = found.make_context("run", rest).params
    assert options["pipeline"] is None, "--pipeline is deprecated"
    assert set(options["pipelines"]) <= set(pipelines)
    assert (
        options["env"] is None
        or options["env"] in OF_DOCS
        or (ROOT / "conf" / options["env"]).is_dir()
    )
    unknown = [name for name in flat(options["params"]) if not known(name, names)]
    assert unknown == []


def flat(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def known(name, names):
    return any(name == other or name.startswith(f"{other}.") for other in names)


def test_torchrun_knows_its_options():
    from torch.distributed.run import get_args_parser  # seconds

    lines = [line for page in PAGES for line in shell_lines(page) if line.startswith("torchrun ")]
    assert lines
    for line in lines:
        given = get_args_parser().parse_args(shlex.split(line.removesuffix("&"))[1:])
        assert given.module and given.training_script == "kedro"


def test_spark_submit_knows_its_options():
    given = [options for page in PAGES for options, _words in submissions(page)]
    assert given
    for options in given:
        names, values = options[::2], options[1::2]
        assert len(names) == len(values) and set(names) <= SUBMIT
        settings = [value for name, value in zip(names, values, strict=True) if name == "--conf"]
        assert all(re.fullmatch(r"spark\.[\w.-]+=\S+", setting) for setting in settings)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(("python ", "python3 "))])
def test_a_script_exists_and_knows_its_options(command):
    _, first, *words = shlex.split(command)
    if first == "-m":
        assert words[0] in {"venv", "clm_ler"}
        return
    if first == "-c":
        ast.parse(words[0])
        return
    made_by_docs = [
        text for page in PAGES for text in blocks(page, "python") if text.startswith(f"# {first}\n")
    ]
    script = made_by_docs[0] if made_by_docs else (ROOT / first).read_text()
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    assert [option for option in options if f'"{option}"' not in script] == []


def test_kedro_ipython_needs_no_extra():
    """The README gives it before any extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert any(need.startswith("ipython") for need in project["dependencies"])


def test_a_node_that_is_to_be_loaded_exists():
    configure_project("clm_ler")
    known = {node.name for pipeline in pipelines.values() for node in pipeline.nodes}
    asked = {
        name for page in PAGES for name in re.findall(r"%load_node ([\w.]+)", page.read_text())
    }
    assert asked and asked <= known


def test_extras_and_targets_exist():
    project = (ROOT / "pyproject.toml").read_text()
    wanted = {
        extra
        for command in COMMANDS
        for extra in re.findall(r"\[([\w,]+)\]", command)
        if command.startswith("pip")
    }
    extras = {name for names in wanted for name in names.split(",")}
    assert extras
    assert [name for name in extras if not re.search(rf"^{name} = \[", project, re.MULTILINE)] == []
    makefile = (ROOT / "Makefile").read_text()
    targets = {
        word
        for command in COMMANDS
        if command.startswith("make ")
        for word in command.split()[1:]
        if "=" not in word  # a variable
    }
    assert [name for name in targets if f"\n{name}:" not in makefile] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_can_be_read_and_name_what_exists(page, names):
    for text in blocks(page, "python"):
        ast.parse(re.sub(r"^%.*$", "", text, flags=re.MULTILINE))
    for text in blocks(page, "yaml"):
        for part in re.split(r"(?=^# conf/)", text, flags=re.MULTILINE):
            settings = yaml.safe_load(part) or {}
            groups = {name.split(".")[0] for name in names}
            chosen = {
                key: value
                for key, value in settings.items()
                if key in groups and isinstance(value, dict)
            }
            assert [name for name in flat(chosen) if not known(name, names)] == []


def test_a_block_that_cannot_run_says_why():
    """No other language, no silent exception."""
    for page in PAGES:
        for reason in re.findall(r"<!-- not run: (.*?) -->\n(?!```)", page.read_text()):
            pytest.fail(f"{page.name}: no block follows '{reason}'")
        for language, _ in FENCED.findall(page.read_text()):
            assert language in {"sh", "python", "yaml", "json"}, page.name
