"""Let an environment say which pipelines a plain ``kedro run`` means there."""

from collections.abc import Mapping, Sequence

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline


class ChainHooks:
    """``chain: [split, preprocess, ...]`` in an environment's ``globals.yml`` is its ``__default__``.

    Environments that read a user's own tables leave out the simulated hospital this way. Where there
    are several chains, ``chain: {NAME: [...], ...}``, ``--params=chain=NAME`` takes one, by default
    the first.
    """

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Replace ``__default__`` where the environment names its chain."""
        chain = context.config_loader["globals"].get("chain")
        if isinstance(chain, Mapping):
            chain = _chosen(chain, (context.config_loader.runtime_params or {}).get("chain"))
        # Where single pipelines were asked for, Kedro has loaded only those.
        if not chain or not set(chain) <= set(pipelines):
            return
        pipelines["__default__"] = sum((pipelines[name] for name in chain), Pipeline([]))


def _chosen(chains: Mapping[str, Sequence[str]], name: str | None) -> Sequence[str]:
    if name is not None and name not in chains:
        raise ValueError(f"chain must be one of {', '.join(chains)}, not {name!r}.")
    return chains[name] if name else next(iter(chains.values()))
