"""Project settings, read by Kedro."""

import gc

from clm_ler.config import ParameterLoader
from clm_ler.engines import engine
from clm_ler.files.location import below
from clm_ler.hooks import PROJECT_HOOKS

# Table expressions are graphs of many small objects that live as long as their pipeline. Looking for
# garbage among them as often as Python does by default takes half a second of a short run.
gc.set_threshold(50_000)

HOOKS = PROJECT_HOOKS
# Both plugins write files into the project on every run.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz")

CONFIG_LOADER_CLASS = ParameterLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"spark": ["spark*", "spark*/**"], "wandb": ["wandb*", "wandb*/**"]},
    "custom_resolvers": {
        "connection": lambda name: engine(str(name)).connection,
        "save_args": lambda name: engine(str(name)).save_args,
        "below": below,
        "given": lambda value: value is not None,
        "which": lambda condition, yes, no: yes if condition else no,
    },
}
