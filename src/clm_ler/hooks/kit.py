"""Look at a kit of another site before anything reads it."""

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from clm_ler.files.kit import HEAD, check_kit
from clm_ler.files.model_folder import UnfitModelError
from clm_ler.hooks.current import current_run

MODEL = "trained_finetuned_model"


class KitHooks:
    """With ``--params=kit=DIR``: the files are as they were packaged, and have what the run needs."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Compare the kit with its inventory."""
        run = current_run()
        place = run.settings.get("kit") if run else None
        if place is None:
            return
        inventory = check_kit(str(place))
        has_head = any(row["file"].startswith(f"{HEAD}/") for row in inventory["files"])
        if MODEL in pipeline.inputs() and not has_head:
            raise UnfitModelError(
                f"The kit {place} has no fine-tuned model, so nothing can be predicted with it: fine-tune "
                "its pre-trained model on labels of yours (docs/kit.md), or ask for a kit of a fine-tuned "
                "one."
            )
