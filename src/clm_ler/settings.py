"""Project settings, read by Kedro."""

from clm_ler.config import ConfigLoader, among
from clm_ler.engines import engine
from clm_ler.files.location import below
from clm_ler.hooks import PROJECT_HOOKS

HOOKS = PROJECT_HOOKS
# One reports to its makers; the other keeps texts of errors, which may quote data: see hooks/status.py.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz")

CONFIG_LOADER_CLASS = ConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},
    "config_patterns": {"spark": ["spark*", "spark*/**"], "wandb": ["wandb*", "wandb*/**"]},
    "custom_resolvers": {
        "connection": lambda name: engine(str(name)).connection,
        "in_buckets": lambda name: engine(str(name)).distributed,
        "below": below,
        "listed": lambda name, names: str(name in names).lower(),
        "among": among,
        "given": lambda value: value is not None,
        "either": lambda condition, chosen, other: chosen if condition else other,
    },
}
