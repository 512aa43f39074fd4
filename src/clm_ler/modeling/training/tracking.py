"""Live training curves in Weights & Biases, where somebody has opened a run."""

import sys


def tracker() -> str:
    """Return ``wandb`` where a run is open in this process, else ``none``: Trainer's ``report_to``.

    W&B is never imported here. With several ranks the run is open in the process that started
    them, and none of them reports.
    """
    wandb = sys.modules.get("wandb")
    return "wandb" if wandb is not None and wandb.run is not None else "none"
