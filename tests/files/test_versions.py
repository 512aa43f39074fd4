from kedro import __version__

from clm_ler.files.versions import installed


def test_a_package_has_its_version_and_what_is_not_there_none():
    assert installed("kedro") == __version__
    assert installed("no-such-package") is None
