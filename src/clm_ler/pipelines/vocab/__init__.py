"""Sequences to a vocabulary and integer columns."""

from clm_ler.pipelines.vocab.pipeline import create_pipeline

__all__ = ["create_pipeline"]
