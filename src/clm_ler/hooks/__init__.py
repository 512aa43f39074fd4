"""Kedro hooks, one class per concern."""

from clm_ler.hooks.chain import ChainHooks
from clm_ler.hooks.simulation import SimulationGuard
from clm_ler.hooks.spark import SparkHooks
from clm_ler.hooks.wandb import WandbHooks

PROJECT_HOOKS = (SparkHooks(), ChainHooks(), SimulationGuard(), WandbHooks())
