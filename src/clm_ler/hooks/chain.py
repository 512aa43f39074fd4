"""Let an environment say which pipelines a plain ``kedro run`` means there."""

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline


class ChainHooks:
    """``chain: [split, preprocess, ...]`` in an environment's ``globals.yml`` is its ``__default__``.

    Environments that read a user's own tables leave out the simulated hospital this way.
    """

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Replace ``__default__`` where the environment names its chain."""
        chain = context.config_loader["globals"].get("chain")
        # Where single pipelines were asked for, Kedro has loaded only those.
        if not chain or not set(chain) <= set(pipelines):
            return
        pipelines["__default__"] = sum((pipelines[name] for name in chain), Pipeline([]))
