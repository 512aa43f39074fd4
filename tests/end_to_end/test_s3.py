"""The chain with all of its data in a bucket, over HTTP."""

import os
from pathlib import Path

import boto3
import pytest
import s3fs
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError
from moto.server import ThreadedMotoServer

from clm_ler.datasets.pretrained import PretrainedDataset
from tests.end_to_end.conftest import BASELINES, ROOT, SMALL

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


def test_the_whole_chain_runs_with_all_its_data_and_models_in_a_bucket(store, kedro_run, tmp_path):
    trained = ("pretrain", "finetune", "ehrshot_eval")
    local = {name: SMALL[name] | {"checkpoints": str(tmp_path / name)} for name in trained}
    local["pretrain"] |= {"num_train_epochs": 1}
    cohort = {"persons": 150, "ehrshot": {"persons": 60}}
    # Of so few patients there are no eight with each label.
    models = {"clm_ler": ["lr_lbfgs"], **dict.fromkeys(BASELINES, ())}
    local["ehrshot_eval"] |= {
        "tasks": ["guo_los"],
        "shots": [-1],
        "bootstraps": 10,
        "models": models,
    }
    catalog = kedro_run(f"s3://{BUCKET}/site", cohort=cohort, **local)
    assert catalog.load("sequences").count().to_pyarrow().as_py() > 0
    assert catalog.load("encoded_sequences").num_rows > 0
    assert len(catalog.load("tokenizer")) > 4
    assert catalog.load("finetuned_model").config.model_type == "clm_ler"
    results = catalog.load("ehrshot_results")
    assert set(results.select("model").distinct().to_pyarrow()["model"].to_pylist()) >= {"clm_ler"}
    keys = [
        item["Key"] for item in store.list_objects_v2(Bucket=BUCKET, Prefix="site/")["Contents"]
    ]
    assert any("ehrshot_results" in key for key in keys)


class Model:
    """Something with the two methods of Hugging Face, in three files."""

    def __init__(self, text):
        self.text = text

    def save_pretrained(self, folder):
        for name in ("a", "b", "c"):
            (Path(folder) / name).write_text(self.text)

    @classmethod
    def from_pretrained(cls, folder):
        return cls("".join((Path(folder) / name).read_text() for name in ("a", "b", "c")))


def test_a_killed_upload_of_a_model_leaves_no_half_of_one(store, monkeypatch):
    place = f"s3://{BUCKET}/model"
    access = {"key": "test", "secret": "test", "endpoint_url": os.environ["CLM_AWS_ENDPOINT_URL"]}
    dataset = PretrainedDataset(filepath=place, loader=f"{__name__}.Model", credentials=access)
    dataset.save(Model("old"))
    put_file = s3fs.S3FileSystem._put_file

    async def break_at_the_second(self, local, remote, **options):
        if remote.endswith("/b"):
            raise ConnectionError
        return await put_file(self, local, remote, **options)

    with monkeypatch.context() as patched, pytest.raises(DatasetError):
        patched.setattr("s3fs.S3FileSystem._put_file", break_at_the_second)
        dataset.save(Model("new"))
    assert dataset.load().text == "oldoldold"
    move = s3fs.S3FileSystem.mv

    def break_when_put_in_place(self, source, target):
        if target.endswith("/b"):
            raise ConnectionError
        move(self, source, target)

    with monkeypatch.context() as patched, pytest.raises(DatasetError):
        patched.setattr("s3fs.S3FileSystem.mv", break_when_put_in_place)
        dataset.save(Model("new"))
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="never fully written"):
        dataset.load()
    dataset.save(Model("new"))
    assert dataset.load().text == "newnewnew"


def test_a_killed_upload_of_a_table_leaves_the_old_one(store, kedro_run, monkeypatch):
    place, cohort = f"s3://{BUCKET}/killed", {"persons": 60, "ehrshot": {"persons": 30}}
    catalog = kedro_run(place, ["cohort", "split"], cohort=cohort)
    before = catalog.load("person_splits").to_pyarrow()

    def die(self, files):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("clm_ler.storage.buckets.BucketFolder.publish", die)
        kedro_run(place, ["split"], split={"salt": "another"})
    after = catalog.load("person_splits").to_pyarrow()
    assert after.sort_by("person_id").equals(before.sort_by("person_id"))


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


@pytest.mark.parametrize("name", ["pretrain_workspace", "finetune_workspace", "ehrshot_workspace"])
def test_what_is_being_trained_lies_on_this_machine(name):
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, runtime_params={"storage": f"s3://{BUCKET}/site"}) as session:
        folder = session.load_context().catalog.load(name)
    assert folder.parent == Path("data/tmp/work")
