"""The chain with all of its data in a bucket, over HTTP."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "records"


@pytest.fixture(scope="module")
def store():
    """An S3 server on this machine, and the environment that leads to it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CLM_AWS_ACCESS_KEY_ID", "test")
        patched.setenv("CLM_AWS_SECRET_ACCESS_KEY", "test")
        patched.setenv("CLM_AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT_URL"):
            patched.setenv(f"AWS_{name}", "replaced by the project's own variable")
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )
        client.create_bucket(Bucket=BUCKET)
        yield client
    server.stop()


def test_the_chain_runs_with_all_its_data_in_a_bucket(store, kedro_run):
    pipelines = ["cohort", "split", "preprocess", "vocab", "umls_mapping"]
    cohort = {"persons": 150, "ehrshot": {"persons": 40}}
    catalog = kedro_run(f"s3://{BUCKET}/site", pipelines, cohort=cohort)
    assert catalog.load("sequences").count().execute() > 0
    assert catalog.load("encoded_sequences").num_rows > 0
    assert len(catalog.load("tokenizer")) > 4


def test_a_missing_bucket_is_one_clear_line(store, kedro_run):
    with pytest.raises(RuntimeError, match="no bucket s3://absent"):
        kedro_run("s3://absent/site", ["split"])


def test_missing_credentials_are_one_clear_line(store, kedro_run, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"CLM_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(RuntimeError, match=f"s3://{BUCKET}.*credentials"):
        kedro_run(f"s3://{BUCKET}/site", ["split"])


def test_wrong_credentials_are_one_clear_line(store, kedro_run, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError("Forbidden")

    monkeypatch.setattr("s3fs.S3FileSystem.ls", refuse)
    with pytest.raises(RuntimeError, match="credentials may not list"):
        kedro_run(f"s3://{BUCKET}/site", ["split"])
