"""Read the files of the EHRSHOT benchmark."""

from clm_ler.pipelines.ehrshot_read.pipeline import create_pipeline

__all__ = ["create_pipeline"]
