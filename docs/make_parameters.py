"""Write docs/parameters.md from the typed parameters of the pipelines.

python docs/make_parameters.py          writes the page
python docs/make_parameters.py --check  fails where the page is not what the code says
"""

import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from kedro.framework.project import configure_project
from pydantic import RootModel
from pydantic.fields import FieldInfo
from typing_extensions import Doc

PAGE = Path(__file__).with_name("parameters.md")
BASE = Path(__file__).parents[1] / "conf" / "base"
INTRODUCTION = """# Parameters

Made by `python docs/make_parameters.py` from the typed parameters of the pipelines; do not edit.
Each table is one top-level key of `conf/base/parameters_<pipeline>.yml`. Give a value on the command
line as `kedro run --params=split.train_ratio=0.7`, or in a file of the same name in an environment
of your own (`conf/<env>/`). An unknown key or a wrong type stops a run before anything happens.
*Default* is that of the code; if `conf/base` sets another value, it stands behind it, or *set* if it is long.

`seed` (a number, in `conf/base/parameters.yml`): every random choice derives from it.
"""


def main() -> None:
    """Write or check the page."""
    configure_project("clm_ler")
    text = "\n".join([INTRODUCTION, *sections()])
    if "--check" in sys.argv:
        sys.exit(
            0
            if PAGE.read_text(encoding="utf-8") == text
            else "docs/parameters.md: run docs/make_parameters.py"
        )
    PAGE.write_text(text, encoding="utf-8")


def sections() -> Iterator[str]:
    """Yield one section a pipeline, in the order of the chain."""
    base = dict(pair for file in BASE.glob("parameters*.yml") for pair in read(file).items())
    for key, model in parameter_models().items():
        yield f"## `{key}`\n"
        yield f"{(model.__doc__ or '').strip().splitlines()[0]}\n"
        yield "| parameter | type | default | meaning |\n|---|---|---|---|"
        yield "\n".join(rows(model, base=base.get(key))) + "\n"


def read(file: Path) -> dict[str, Any]:
    """Return the parameters of a file; what it derives from others stays as it is written."""
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}


def parameter_models() -> dict[str, type]:
    """Return the class of each ``params:KEY`` input, as the node functions annotate it."""
    from kedro.framework.project import pipelines

    from clm_ler.corridor.deferred import import_functions

    import_functions(pipelines.values())
    models: dict[str, type] = {}
    others = [pipelines[name] for name in sorted(pipelines) if name != "__default__"]
    for node in (
        node for pipeline in (pipelines["__default__"], *others) for node in pipeline.nodes
    ):
        hints = typing.get_type_hints(node.func)
        names = [name for name in hints if name != "return"]
        for position, dataset in enumerate(node.inputs):
            hint = given(hints.get(names[position])) if position < len(names) else None
            if dataset.startswith("params:") and fields_of(hint):
                models[dataset.removeprefix("params:")] = typing.cast(type, hint)
    return models


def given(hint: Any) -> Any:
    """Return the type of a parameter that may be null where it is not; of a list that of its items."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    kind = kinds[0] if isinstance(hint, types.UnionType) and len(kinds) == 1 else hint
    if isinstance(kind, type) and issubclass(kind, RootModel):  # a list, of what its items are
        return typing.get_args(kind.model_fields["root"].annotation)[0]
    return kind


def fields_of(model: Any) -> dict[str, FieldInfo]:
    """Return the fields of options: a class's own before those that it inherits; of others none."""
    fields: dict[str, FieldInfo] = getattr(model, "__pydantic_fields__", {})
    own = [name for name in getattr(model, "__annotations__", {}) if name in fields]
    return {name: fields[name] for name in [*own, *fields]}


def meaning(field: FieldInfo) -> str:
    """Return what a field is for."""
    texts = [mark.documentation for mark in field.metadata if isinstance(mark, Doc)]
    return field.description or " ".join(texts)


def rows(model: type, prefix: str = "", base: Any = None) -> Iterator[str]:
    """Yield the table rows of a class of options, nested ones by dotted names.

    Args:
        model: The class.
        prefix: Of the names.
        base: What `conf/base` sets of it, if anything.
    """
    set_here = base if isinstance(base, Mapping) else {}
    for name, field in fields_of(model).items():
        kind = field.annotation
        if isinstance(kind, type) and fields_of(kind):
            yield from rows(kind, f"{prefix}{name}.", set_here.get(name))
            continue
        default = default_of(field, set_here.get(name))
        yield f"| `{prefix}{name}` | {text_of(kind)} | {default} | {meaning(field)} |"


def text_of(kind: Any) -> str:
    """Return a type as a reader knows it: without modules, and without the bounds of numbers."""
    text = kind.__name__ if isinstance(kind, type) else str(kind)
    text = re.sub(r"Annotated\[(\w+), [^]]*\]", r"\1", re.sub(r"\b(\w+\.)+", "", text))
    return text.replace("|", "\\|")


def default_of(field: FieldInfo, base: Any) -> str:
    """Return the default, and what `conf/base` sets in its place: `set` where that is long."""
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    default = "required" if field.is_required() else f"`{value if value != '' else repr(value)}`"
    given = tuple(base) if isinstance(base, list) else base
    if given is None or given == value:
        return default
    long = isinstance(given, Mapping | tuple) or "${" in str(given)
    return f"{default}; " + ("set" if long else f"`{given}`")


if __name__ == "__main__":
    main()
