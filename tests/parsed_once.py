"""Hundreds of tests make a session of Kedro's, of the same files: what was parsed is kept, half a session's time."""

import io
from copy import deepcopy
from functools import lru_cache

import omegaconf.base
import omegaconf.grammar_parser
from omegaconf import OmegaConf


def keep_what_was_parsed():
    """Let OmegaConf parse each text, and each ``${...}`` in it, once in a process."""
    omegaconf.base.parse = lru_cache(maxsize=None)(omegaconf.grammar_parser.parse)
    load = OmegaConf.load
    load_text = lru_cache(maxsize=None)(lambda text: load(io.StringIO(text)))

    def load_once(file):
        return deepcopy(load_text(file.read())) if hasattr(file, "read") else load(file)

    OmegaConf.load = load_once
