"""Each run has its own folder, is made once, and never mistaken for another."""

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from experiments.made import BACKEND, STEPS, assert_equal, begun, jobs
from experiments.tiny import TINY, Watched
from lca_core.datasets import Source
from lca_core.errors import ExperimentError, UnsupportedError
from lca_core.experiments.folder import file_name
from lca_core.experiments.job import carried, jobs_of
from lca_core.experiments.lock import only_one
from lca_core.training import TrainingSpec


@given(st.text(), st.text())
def test_arms_have_names_of_their_own(one, other):
    """Two arms never share a folder, not even where capitals do not count; a name is a name."""
    names = [file_name(arm) for arm in (one, other)]
    assert (one == other) == (names[0].lower() == names[1].lower())
    for name in names:
        assert name
        assert name[0] != "."
        assert not set(name) & set('/\\:*?"<>|\0 ')
        assert len(name.encode()) < 100


@pytest.mark.parametrize("arm", ["sgd", "lr=0.1", "resnet20-adam-m0.9"])
def test_plain_names_stay(arm):
    """A name that any file system takes is the folder's name."""
    assert file_name(arm) == arm


def test_a_finished_run_is_not_made_again(tmp_path, marks):
    """Asked for twice, a run is trained once."""
    job = jobs(tmp_path)[0]
    assert [carried(job), carried(job)] == ["made", "found"]
    assert begun(marks) == [(str(job.place.run), 0)]
    assert job.place.steps() == STEPS


def test_what_a_run_is_lies_beside_it(tmp_path, marks):
    """Backend, data with their hash, training and tracking stand in description.json."""
    job = jobs(tmp_path, seeds=[3])[1]
    carried(job)
    found = json.loads((job.place.run.parent / "description.json").read_text())
    assert found["arm"] == "Fast, it is"
    assert found["backend"] == BACKEND
    assert found["data"]["name"] == "digits"
    assert len(found["data"]["fingerprint"]) == 32
    assert found["training"] == json.loads(json.dumps(job.planned.spec.describe()))
    assert found["training"]["seed"] == 3
    assert found["tracking"] == {"observers": [{"kind": "Totals"}], "by_class": False}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 5}, ["training.epochs should be 5, found 4"]),
        ({"batch_size": 10}, ["training.batch_size should be 10, found 20"]),
        ({"backend": "numpy"}, ["backend should be numpy, found experiments.tiny:WATCHED"]),
    ],
)
def test_another_run_is_refused_before_anything_starts(tmp_path, marks, change, words):
    """A folder with a run that is described otherwise is an error that names what differs."""
    job = jobs(tmp_path)[0]
    carried(job)
    with pytest.raises(ExperimentError) as caught:
        jobs(tmp_path, **change)
    remedies = ["give the same options as when it was made", "Choose another --out"]
    for word in [*words, *remedies, str(job.place.folder)]:
        assert word in str(caught.value)


def test_other_data_are_refused(tmp_path, marks):
    """The hash of the data is part of what a run is, in the folder and in a worker."""
    job = jobs(tmp_path)[0]
    carried(job)
    with pytest.raises(ExperimentError, match=r"data.examples should be 50, found 60"):
        jobs_of(TINY.plan(TrainingSpec(), [0]), BACKEND, Source("digits", examples=50), tmp_path)
    elsewhere = jobs(tmp_path / "elsewhere")[0]
    with pytest.raises(ExperimentError, match="Give every worker the same files"):
        carried(evolve(elsewhere, fingerprint="0" * 32))
    assert not elsewhere.place.run.exists()


def test_a_run_without_description_is_refused(tmp_path, marks):
    """What somebody else put there is not taken for one's own, nor deleted."""
    job = jobs(tmp_path)[0]
    carried(job)
    job.place.description.unlink()
    with pytest.raises(ExperimentError, match=r"nothing is known of: its description.json is miss"):
        jobs(tmp_path)
    job.place.description.write_text("{")
    with pytest.raises(ExperimentError, match="cannot be read"):
        jobs(tmp_path)
    assert job.place.steps() == STEPS


@pytest.mark.parametrize("lost", ["loss", "zarr.json", "checkpoints"])
def test_a_damaged_run_is_made_anew(tmp_path, marks, lost):
    """A finished run that can be read no more is none: it is trained again from its first step."""
    job, other = jobs(tmp_path / "a")[0], jobs(tmp_path / "b")[0]
    assert [carried(job), carried(other)] == ["made", "made"]
    damage(job.place.run / lost)
    assert not job.finished
    assert carried(job) == "made"
    assert_equal(job.place.run, other.place.run)
    assert begun(marks)[-1] == (str(job.place.run), 0)


def damage(path):
    """Remove a part of a run file."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_the_same_place_twice_is_refused(tmp_path):
    """A plan with two runs of one arm and seed is an error."""
    with pytest.raises(ExperimentError, match="'slow', seed 1, more than once"):
        jobs(tmp_path, seeds=[1, 1])


def interrupted(job, monkeypatch, at=7):
    """Leave half a run behind."""

    def stop(self, spec, dataset, *, on_step, tracking, by_class):
        def counted(tracker):
            if tracker.iteration == at:
                raise KeyboardInterrupt

        tracking = {**tracking, "chunk": 2}
        return super(Watched, self).train(
            spec, dataset, on_step=counted, tracking=tracking, by_class=by_class
        )

    with monkeypatch.context() as patched:
        patched.setattr(Watched, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            carried(job)
    assert 0 < job.place.steps() < STEPS


def test_a_half_run_goes_on(tmp_path, marks, monkeypatch):
    """Broken off and gone on with, a run is bit for bit that which was left alone."""
    whole, half = (jobs(tmp_path / name)[1] for name in ("whole", "half"))
    carried(whole)
    interrupted(half, monkeypatch)
    assert carried(half) == "resumed"
    assert begun(marks)[-1] == (str(half.place.run), 7)
    assert_equal(whole.place.run, half.place.run)


def test_a_half_run_that_cannot_go_on_begins_anew(tmp_path, marks, monkeypatch):
    """Where the adapter does not resume, or the file is damaged, the run is made from the start."""
    whole, half = (jobs(tmp_path / name)[1] for name in ("whole", "half"))
    carried(whole)
    interrupted(half, monkeypatch)
    train = Watched.train

    def refuses(self, spec, dataset, *, on_step, tracking, by_class):
        if tracking.get("resume"):
            raise UnsupportedError("This adapter does not resume.")
        return train(self, spec, dataset, on_step=on_step, tracking=tracking, by_class=by_class)

    with monkeypatch.context() as patched:
        patched.setattr(Watched, "train", refuses)
        assert carried(half) == "made"
    assert_equal(whole.place.run, half.place.run)

    (half.place.run / "zarr.json").write_text("{}")
    assert not half.finished
    assert carried(half) == "made"
    assert_equal(whole.place.run, half.place.run)

    shutil.rmtree(half.place.run)
    assert carried(half) == "made"


def test_an_unsupported_training_is_an_error(tmp_path, marks, monkeypatch):
    """An adapter that cannot make the run at all is not asked twice."""
    asked = []

    def refuses(self, spec, dataset, **_):
        asked.append(spec)
        raise UnsupportedError("No such layer.")

    monkeypatch.setattr(Watched, "train", refuses)
    with pytest.raises(UnsupportedError):
        carried(jobs(tmp_path)[0])
    assert len(asked) == 1


def test_one_writer_at_a_time(tmp_path, marks):
    """A run that another holds is waited for, then found finished."""
    job = jobs(tmp_path)[0]
    carried(job)
    with ThreadPoolExecutor(1) as other:
        with only_one(job.place.lock):
            waiting = other.submit(carried, job)
            time.sleep(0.2)
            assert not waiting.done()
        assert waiting.result(timeout=10) == "found"


def test_the_lock_is_for_one(tmp_path):
    """Many who take the lock are never inside together."""
    inside, most, guard = 0, 0, threading.Lock()

    def enter(_):
        nonlocal inside, most
        with only_one(tmp_path / "lock"):
            with guard:
                inside += 1
                most = max(most, inside)
            time.sleep(0.005)
            with guard:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(16)))
    assert most == 1
