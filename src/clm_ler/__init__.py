"""Language models on structured health records."""

__version__ = "0.1.0"
