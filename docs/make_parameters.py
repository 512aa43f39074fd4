"""Write docs/parameters.md from the typed parameters of the pipelines.

python docs/make_parameters.py          writes the page
python docs/make_parameters.py --check  fails where the page is not what the code says
"""

import sys
import typing
from collections.abc import Iterator
from pathlib import Path

from kedro.framework.project import configure_project
from pydantic import BaseModel

PAGE = Path(__file__).with_name("parameters.md")
INTRODUCTION = """# Parameters

Made by `python docs/make_parameters.py` from the typed parameters of the pipelines; do not edit.
Each table is one top-level key of `conf/base/parameters_<pipeline>.yml`. Give a value on the command
line as `kedro run --params=split.train_ratio=0.7`, or in a file of the same name in an environment
of your own (`conf/<env>/`). An unknown key or a wrong type fails before anything runs. The value of
`conf/base` is shown where it is one, else the default of the code.

`seed` (a number, in `conf/base/parameters.yml`): every random choice derives from it.
"""


def main() -> None:
    """Write or check the page."""
    configure_project("clm_ler")
    text = "\n".join([INTRODUCTION, *sections()])
    if "--check" in sys.argv:
        sys.exit(
            0 if PAGE.read_text() == text else "docs/parameters.md: run docs/make_parameters.py"
        )
    PAGE.write_text(text)


def sections() -> Iterator[str]:
    """Yield one section a pipeline, in the order of the chain."""
    for key, model in parameter_models().items():
        yield f"## `{key}`\n"
        yield f"{(model.__doc__ or '').strip().splitlines()[0]}\n"
        yield "| parameter | type | default | meaning |\n|---|---|---|---|"
        yield "\n".join(rows(model)) + "\n"


def parameter_models() -> dict[str, type[BaseModel]]:
    """Return the model of each ``params:KEY`` input, as the node functions annotate it."""
    from kedro.framework.project import pipelines

    models: dict[str, type[BaseModel]] = {}
    for node in pipelines["__default__"].nodes:
        hints = typing.get_type_hints(node.func)
        names = [name for name in hints if name != "return"]
        for position, dataset in enumerate(node.inputs):
            hint = hints.get(names[position]) if position < len(names) else None
            if (
                dataset.startswith("params:")
                and isinstance(hint, type)
                and issubclass(hint, BaseModel)
            ):
                models[dataset.removeprefix("params:")] = hint
    return models


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the table rows of a model, nested models by dotted names."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from rows(kind, f"{prefix}{name}.")
            continue
        default = (
            "required"
            if field.is_required()
            else f"`{field.get_default(call_default_factory=True)}`"
        )
        text = getattr(kind, "__name__", str(kind)) if isinstance(kind, type) else str(kind)
        text = text.replace("typing.", "").replace("|", "\\|")
        yield f"| `{prefix}{name}` | {text} | {default} | {field.description or ''} |"


if __name__ == "__main__":
    main()
