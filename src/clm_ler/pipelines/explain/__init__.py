"""What a fine-tuned model rests its predictions on, and whether the answer can be trusted."""

from clm_ler.pipelines.explain.pipeline import create_pipeline

__all__ = ["create_pipeline"]
