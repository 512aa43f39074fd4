"""Classification on labelled samples."""

from clm_ler.pipelines.finetune.pipeline import create_pipeline

__all__ = ["create_pipeline"]
