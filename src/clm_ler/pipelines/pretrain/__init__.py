"""Pre-training: masked tokens, and what comes next."""

from clm_ler.pipelines.pretrain.pipeline import create_pipeline

__all__ = ["create_pipeline"]
