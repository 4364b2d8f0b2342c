"""What is published holds together: records, weights, README; and a chapter fails when its weights were touched."""

from __future__ import annotations

import shutil

import pytest

from reprolib import cli, files
from reprolib.claims import listing
from reprolib.claims.claim import Verdict
from reprolib.plan import purposes, recipes
from reprolib.runs import records
from reprolib.site import chapters

BOOK = files.PROJECT / "book"
HEADLINE = [  # whose weights are kept: of published purposes all, of others those that are recorded
    run
    for purpose in purposes.purposes()
    for run in purpose.kept
    if purpose.published or records.find(run, (records.PUBLISHED,))
]
NAMED = list(dict.fromkeys(run for purpose in purposes.purposes() if purpose.published for run in purpose.runs))


@pytest.mark.parametrize("experiment", NAMED, ids=lambda experiment: experiment.name)
def test_every_experiment_that_the_book_names_is_recorded(experiment):
    record = records.find(experiment, (records.PUBLISHED,))
    assert record is not None, f"train {experiment.name}: reprolib plan run"
    assert len(record.loss) == experiment.steps
    assert not record.environment.code.endswith("+"), "recorded from code that was not committed"


@pytest.mark.parametrize("experiment", HEADLINE, ids=lambda experiment: experiment.name)
def test_headline_weights_are_kept_and_are_the_recorded_ones(experiment):
    record = records.find(experiment, (records.PUBLISHED,))
    assert files.file_hash(record.weights_path) == record.weights.sha256


def test_all_records_are_whole_and_all_weights_have_a_record():
    for path in records.PUBLISHED.glob("*.json"):
        record = records.read(path)
        assert record.weights_path.exists() == record.weights.kept
    for path in records.PUBLISHED.glob("*.safetensors"):
        assert path.with_suffix(".json").exists()


def test_a_clone_stays_light():
    assert sum(path.stat().st_size for path in records.PUBLISHED.glob("*.safetensors")) < 120e6


def test_every_claim_has_a_verdict():
    rows = listing.claims()
    assert len(rows) >= 15 and len({row.key for row in rows}) == len(rows)
    assert [row.claim for row in rows if row.verdict is Verdict.NOT_RUN_YET or "-" in (*row.ours, row.protocol)] == []
    assert all((BOOK / f"{row.chapter}.ipynb").exists() for row in rows)


def test_the_readme_shows_the_recorded_results(capsys):
    text = (files.PROJECT / "README.md").read_text(encoding="utf-8")
    shown = text.partition("<!-- results: reprolib claims -->\n")[2].partition("\n<!-- end of results -->")[0]
    assert cli.main(["claims"]) == 0
    assert shown + "\n" == capsys.readouterr().out


def test_the_em_chapter_fails_when_its_weights_were_changed(tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    shutil.copytree(records.PUBLISHED, runs)
    weights = runs / f"{recipes.em_fold(5).name}.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    monkeypatch.setenv("REPROLIB_RUNS", str(runs))
    with pytest.raises(RuntimeError, match="were changed"):
        chapters.run(BOOK / "07_em.ipynb", tmp_path / "out.ipynb", log=False)
    assert not (tmp_path / "out.ipynb").exists()
