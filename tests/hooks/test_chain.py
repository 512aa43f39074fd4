import pytest

from clm_ler.hooks.chain import _chosen

CHAINS = {"translated": ["a", "b"], "native": ["c"]}


def test_the_first_chain_is_the_default() -> None:
    assert _chosen(CHAINS, None) == ["a", "b"]
    assert _chosen(CHAINS, "native") == ["c"]


def test_an_unknown_chain_is_refused() -> None:
    with pytest.raises(ValueError, match="one of translated, native, not 'nativ'"):
        _chosen(CHAINS, "nativ")
