"""Kedro hooks, one class per concern."""

from clm_ler.hooks.absent import AbsentInputHooks, MissingInputHooks
from clm_ler.hooks.contracts import ContractHooks
from clm_ler.hooks.current import RunHooks
from clm_ler.hooks.engine import EngineHooks
from clm_ler.hooks.functions import FunctionHooks
from clm_ler.hooks.interactive import InteractiveHooks
from clm_ler.hooks.kit import KitHooks
from clm_ler.hooks.parameters import ParameterHooks
from clm_ler.hooks.record import RecordHooks
from clm_ler.hooks.simulation import SimulationGuard
from clm_ler.hooks.status import StatusHooks
from clm_ler.hooks.steps import StepHooks
from clm_ler.hooks.summary import SummaryHooks
from clm_ler.hooks.wandb import WandbHooks

# Kedro calls them from the last to the first: RunHooks stands around all others, and what may refuse a run
# stands below what writes of it, because Kedro tells no hook that a run was refused.
PROJECT_HOOKS = (
    SummaryHooks(),
    RecordHooks(),
    StatusHooks(),
    StepHooks(),
    WandbHooks(),
    SimulationGuard(),
    MissingInputHooks(),
    AbsentInputHooks(),
    KitHooks(),
    ContractHooks(),
    ParameterHooks(),
    FunctionHooks(),
    InteractiveHooks(),
    EngineHooks(),
    RunHooks(),
)
