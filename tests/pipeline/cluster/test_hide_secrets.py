from __future__ import annotations

from pipeline.cluster.hide_secrets import hide_secrets, list_secrets


def test_values_of_telling_names_are_hidden():
    environment = {
        "DECONVFLOW_METADATA_PASSWORD": "correct horse",
        "AWS_SECRET_ACCESS_KEY": "abcdef0123",
        "HF_TOKEN": "tok-123456",
        "PATH": "/usr/bin",
        "DECONVFLOW_METADATA_STORE": "mysql://me@host/db",
    }
    text = "no entry for correct horse with abcdef0123 and tok-123456 at /usr/bin, mysql://me@host/db"
    assert (
        hide_secrets(text, environment) == "no entry for *** with *** and *** at /usr/bin, mysql://me@host/db"
    )


def test_a_file_is_hidden_by_its_content(tmp_path):
    file = tmp_path / "password"
    file.write_text("from-a-file-9\n")
    assert hide_secrets("said from-a-file-9", {"DECONVFLOW_METADATA_PASSWORD_FILE": str(file)}) == "said ***"


def test_a_secret_in_another_one_leaves_nothing_of_it():
    environment = {"A_PASSWORD": "secret-1", "B_PASSWORD": "secret-1-and-more"}
    assert hide_secrets("secret-1-and-more", environment) == "***"


def test_short_values_would_blot_out_words():
    assert list_secrets({"MY_TOKEN": "a", "MY_PASSWORD": "minio"}) == []
