"""EHRSHOT's own train split as what a model is pre-trained on."""

from clm_ler.pipelines.ehrshot_native.pipeline import create_pipeline

__all__ = ["create_pipeline"]
