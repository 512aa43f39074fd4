"""In IPython and notebooks a table shows its first rows, not only its columns."""

import sys

from kedro.framework.hooks import hook_impl


class InteractiveHooks:
    """Let Ibis evaluate what is displayed, where somebody sits in front of it."""

    @hook_impl
    def after_context_created(self) -> None:
        """Switch it on in an interactive shell. A run from a command line never shows rows, not even in an error."""
        if in_ipython():
            import ibis

            ibis.options.interactive = True


def in_ipython() -> bool:
    """Return whether this is a shell of IPython or the kernel of a notebook; nothing is imported for that."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
