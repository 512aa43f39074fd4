"""Apply a trained model to new persons."""

from clm_ler.pipelines.predict.pipeline import create_pipeline

__all__ = ["create_pipeline"]
