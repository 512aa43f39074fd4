"""Kedro hooks, one class per concern."""

from clm_ler.hooks.chain import ChainHooks
from clm_ler.hooks.s3 import S3Hooks
from clm_ler.hooks.simulation import SimulationGuard
from clm_ler.hooks.spark import SparkHooks
from clm_ler.hooks.wandb import WandbHooks

PROJECT_HOOKS = (SparkHooks(), S3Hooks(), ChainHooks(), SimulationGuard(), WandbHooks())
