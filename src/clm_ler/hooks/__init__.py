"""Kedro hooks, one class per concern."""

from clm_ler.hooks.simulation import SimulationGuard
from clm_ler.hooks.spark import SparkHooks

PROJECT_HOOKS = (SparkHooks(), SimulationGuard())
