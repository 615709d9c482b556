"""Runs on disk: what is written is what is read, at any moment, and a run can go on."""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lca_core
from lca_core import Adaptive, Counts, Dense, Fixed, Layout, Leaf, Status, Totals, store
from lca_core.errors import NotRecordedError, ResumeError, RunFileError
from lca_core.ledger import LEDGER
from lca_core.reference import Polynomial, demo_run, track

COEFFICIENTS = {
    "w/a.b": np.arange(6.0).reshape(2, 3) - 2,
    "b": np.array(0.5),
    "e": np.zeros((0, 2)),
}
TRAIN, VAL = Polynomial(COEFFICIENTS, 4), Polynomial(COEFFICIENTS, 3)


def iterate(t):
    """Return the parameters after t steps: any run passes through the same points."""
    return {k: np.cos(t + np.arange(c.size)).reshape(c.shape) for k, c in COEFFICIENTS.items()}


def tracked(path=None, t=0, *, params=None, oracles=None, layout=TRAIN.layout, **options):
    """Return a tracker that stands at an iterate, some steps of which are audited."""
    oracles = oracles or {"train": TRAIN, "val/x": VAL}
    options = {"integrator": Adaptive(rtol=0.5, audit=3)} | options
    return track(oracles, params or iterate(t), layout, path=path, **options)


def walked(tracker, begin, end, *, points=()):
    """Make the steps begin + 1 to end, with checkpoints after some of them."""
    for t in range(begin + 1, end + 1):
        tracker.step(iterate(t))
        if t in points:
            tracker.checkpoint()
    return tracker


def bits(run):
    """Return everything that a run holds, for comparison bit by bit."""
    totals = {
        (measure, name, leaf): values
        for measure, running in run.totals.items()
        for name, leaves in running.items()
        for leaf, values in leaves.items()
    }
    arrays = {**run.rows, **totals}
    return {name: (v.dtype.str, v.shape, np.asarray(v).tobytes()) for name, v in arrays.items()}


def opened(path):
    """Open a run file as any user of xarray would; a warning is an error here."""
    with xarray.open_zarr(path) as dataset:
        return dataset.load()


# --- what is written is what is read ---------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_save_and_load(steps, tmp_path):
    """A run loaded from its file equals the one that was saved, bit by bit."""
    run = walked(tracked(), 0, steps).finish()
    run.save(tmp_path / "run.zarr")
    back = lca_core.load(tmp_path / "run.zarr")
    assert bits(back) == bits(run)
    assert back.header == run.header
    assert {type(back.header.measures), type(back.header.declared)} == {tuple}
    back.save(tmp_path / "again.zarr")
    assert bits(lca_core.load(tmp_path / "again.zarr")) == bits(run)


@pytest.mark.parametrize("chunk", [2, 64])
def test_writing_as_it_goes(chunk, tmp_path):
    """A run written as it goes equals the one kept in memory, whatever the chunk."""
    path = tmp_path / "run.zarr"
    returned = walked(tracked(path, chunk=chunk), 0, 7).finish()
    truth = walked(tracked(chunk=chunk), 0, 7).finish()
    assert bits(returned) == bits(lca_core.load(path)) == bits(truth)
    assert lca_core.load(str(path)).header == truth.header


def test_xarray_reads_a_run(tmp_path):
    """A run file opens in xarray without a warning, with named dimensions and coordinates."""
    path = tmp_path / "run.zarr"
    run = walked(tracked(path), 0, 5).finish()
    dataset = opened(path)
    units = TRAIN.layout.units
    assert dict(dataset.sizes) == {"step": 5, "iterate": 6, "measure": 2, "leaf": 3, "unit": units}
    assert dataset["measure"].values.tolist() == ["train", "val/x"]
    assert dataset["leaf"].values.tolist() == list(COEFFICIENTS)
    assert {"layer", "parameters", "iteration"} < set(dataset.coords)
    assert dataset["layer"].dims == dataset["parameters"].dims == ("leaf",)
    assert dataset["parameters"].values.tolist() == [6, 1, 0]
    assert dataset["iteration"].values.tolist() == list(range(6))
    assert dataset["unit_allocation"].dims == ("step", "measure", "unit")
    one = dataset["allocation"].sel(measure="val/x", leaf="b").values
    assert np.array_equal(one, run.allocation("val/x", by="leaf").values[:, 1])
    assert np.array_equal(dataset["loss"].sel(measure="train"), run.loss("train"))


@pytest.mark.parametrize("every", [1, 2])
def test_open_during_a_run(every, tmp_path):
    """While a run is being written, both readers see it up to the last complete chunk."""
    path = tmp_path / "run.zarr"
    tracker = tracked(path, chunk=2, every=every)
    assert opened(path).sizes["step"] == lca_core.load(path).steps == 0
    truth = walked(tracked(every=every), 0, 12).finish()
    for t in range(1, 8):
        tracker.step(iterate(t))
        complete = t // (2 * every) * 2
        dataset, run = opened(path), lca_core.load(path)
        assert (dataset.sizes["step"], dataset.sizes["iterate"]) == (complete, complete + 1)
        assert run.steps == complete
        assert np.array_equal(run.loss("train"), truth.loss("train")[: complete + 1])
        assert np.array_equal(dataset["loss"], truth_losses(truth)[: complete + 1])
        if complete:
            assert np.isfinite(run.total("train")["b"])


def truth_losses(run):
    """Return the losses of all measures, shape (T + 1, measures)."""
    return np.stack([run.loss(measure) for measure in run.measures], axis=1)


def test_a_new_run_has_totals_of_zero(tmp_path):
    """Before the first chunk is written, a run file is readable and its totals are zero."""
    path = tmp_path / "run.zarr"
    tracked(path)
    run = lca_core.load(path)
    assert run.loss("train").tolist() == [float(TRAIN(iterate(0), {}).loss)]
    assert {k: v.tolist() for k, v in run.total("train").items()} == {
        k: np.zeros(c.shape).tolist() for k, c in COEFFICIENTS.items()
    }


def test_totals_are_read_when_asked_for(tmp_path, files_opened):
    """Opening a run reads no array of single parameters; asking for one reads that one."""
    path = tmp_path / "run.zarr"
    truth = walked(tracked(path), 0, 3).finish().total("train")
    with files_opened(path / "checkpoints") as opened_files:
        run = lca_core.load(path)
        run.allocation("train")
    assert not [name for name in opened_files if not name.endswith("zarr.json")]
    with files_opened(path / "checkpoints") as opened_files:
        one = run.totals["train"]["total"]["w/a.b"]
    assert len([name for name in opened_files if not name.endswith("zarr.json")]) == 1
    assert np.allclose(one, truth["w/a.b"])
    assert len(run.totals["train"]["total"]) == 3
    with pytest.raises(KeyError):
        run.totals["train"]["total"]["unknown"]


@pytest.fixture
def files_opened():
    """Return a context that lists the files opened below a folder."""
    return _Listening


class _Listening:
    """A list that an audit hook fills while it is entered."""

    now = None

    def __init__(self, folder):
        self.folder, self.names = str(folder), []

    def __enter__(self):
        _Listening.now = self
        return self.names

    def __exit__(self, *_):
        _Listening.now = None


class _Crash(BaseException):
    """The process is gone."""


class _Disk:
    """Fails at its n-th write and from then on, as after a kill; a file being written is torn.

    With `once`, only that write fails, with an ordinary error. `writes` lists what was written.
    """

    now = None

    def __init__(self, folder, fatal=None, *, once=False):
        self.folder, self.fatal, self.once, self.writes = str(folder), fatal, once, []

    def __enter__(self):
        _Disk.now = self
        return self

    def __exit__(self, *_):
        _Disk.now = None

    def write(self, event, path):
        """Note a write below the folder, or fail."""
        if not (isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self.folder)):
            return
        self.writes.append(os.fspath(path))
        late = len(self.writes) - 1 - (math.inf if self.fatal is None else self.fatal)
        if late == 0 and event == "open":
            _Disk.now = None
            Path(path).write_bytes(b"")
            _Disk.now = self
        if late == 0 and self.once:
            raise OSError(path)
        if late >= 0 and not self.once:
            raise _Crash(path)


_CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.truncate"}


def _hook(event, args):
    if _Disk.now is not None and (
        event in _CHANGES or (event == "open" and set(str(args[1])) & set("wxa+"))
    ):
        _Disk.now.write(event, args[0])
    if _Listening.now is not None and event == "open" and isinstance(args[0], (str, os.PathLike)):
        name = os.fspath(args[0])
        if name.startswith(_Listening.now.folder):
            _Listening.now.names.append(name)


sys.addaudithook(_hook)


# --- names -----------------------------------------------------------------------------------

ODD = [
    "",
    "_",
    ".",
    "..",
    "a/b",
    "/",
    "%2E%2E",
    "%",
    "ä ö",
    "日本/語",
    "zarr.json",
    "c",
    "a b",
    "params",
    "total",
    "W",
    "w",
    "__x",
    "-",
    "\\",
    "x" * 300,
    "['fc']['kernel']",
    "\n",
]


def test_odd_names_survive(tmp_path):
    """Leaves and measures of any name are stored apart and come back under that name."""
    layout = Layout(Leaf(name, (2,), "float64", layer=f"in {name}") for name in ODD)
    start = {name: np.zeros(2) for name in ODD}
    problem = Polynomial({name: np.full(2, i + 1.0) for i, name in enumerate(ODD)}, 1)
    measures = ("", "..", "a/b", "params", "0", "total")
    oracles = {name: Polynomial(problem.coefficients, i + 1) for i, name in enumerate(measures)}
    path = tmp_path / "run.zarr"
    tracker = track(oracles, start, layout, path=path, integrator=Adaptive(rtol=1e-9))
    tracker.step({name: np.array([1.0, 2.0]) for name in ODD})
    tracker.finish()
    run = lca_core.load(path)
    assert run.measures == tuple(oracles)
    assert run.layout == layout
    for measure, oracle in oracles.items():
        totals = run.total(measure)
        for i, name in enumerate(ODD):
            truth = (i + 1) * np.array([1.0, 2.0]) ** oracle.power
            assert totals[name] == pytest.approx(truth)
    dataset = opened(path)
    assert dataset["leaf"].values.tolist() == ODD
    assert dataset["measure"].values.tolist() == list(oracles)
    end = {name: np.array([1.0, 2.0]) for name in ODD}
    again = track(oracles, end, layout, path=path, resume=True, integrator=Adaptive(rtol=1e-9))
    assert again.iteration == 1


@settings(max_examples=4)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=4, unique=True))
@example(["a", "A"])
def test_any_names_survive(names):
    """Whatever the user calls them, leaves and measures come back."""
    layout = Layout(Leaf(name, (), "float64", layer=name) for name in names)
    start = {name: np.array(float(i)) for i, name in enumerate(names)}
    problem = Polynomial({name: np.array(1.0) for name in names}, 1)
    tracker = track(dict.fromkeys(names, problem), start, layout)
    tracker.step({name: np.array(2.0 * i) for i, name in enumerate(names)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        tracker.finish().save(path)
        run = lca_core.load(path)
        for measure in names:
            total = {k: float(v) for k, v in run.total(measure).items()}
            assert total == {name: float(i) for i, name in enumerate(names)}


def test_losses_that_are_not_finite_survive(tmp_path):
    """Losses of inf and NaN, the first included, are stored and read as such."""
    problem = Polynomial({"x": np.ones(1)}, 2)
    path = tmp_path / "run.zarr"
    with np.errstate(all="ignore"):
        with pytest.warns(RuntimeWarning, match=r"leaves \['x'\] hold values that are not finite"):
            tracker = track(
                {"train": problem}, {"x": np.full(1, np.inf)}, problem.layout, path=path
            )
        for value in (1.0, np.nan, 2.0, 3.0):
            tracker.step({"x": np.full(1, value)})
        tracker.finish()
    run = lca_core.load(path)
    assert np.array_equal(run.loss("train"), [np.inf, 1, np.nan, 4, 9], equal_nan=True)
    assert run.total("train")["x"].tolist() == [5.0]
    assert np.array_equal(opened(path)["loss"][:, 0], run.loss("train"), equal_nan=True)


# --- while it is written ---------------------------------------------------------------------


def written_fast(path, seconds):
    """Write every one of many short steps; return the process."""
    script = (
        "import sys, time\n"
        "import numpy as np\n"
        "from lca_core.reference import Polynomial, track\n"
        "one = Polynomial({'x': np.array([1.0, 2.0])}, 3)\n"
        "x, end = np.array([2.0, 1.0]), time.monotonic() + float(sys.argv[2])\n"
        "tracker = track({'train': one}, {'x': x}, one.layout, path=sys.argv[1], chunk=1)\n"
        "while time.monotonic() < end:\n"
        "    x = 0.999 * x\n"
        "    tracker.step({'x': x})\n"
        "tracker.finish()\n"
    )
    return subprocess.Popen([sys.executable, "-c", script, str(path), str(seconds)])


def test_a_run_is_loaded_while_it_is_written(tmp_path):
    """However fast a process writes, every load works, and a total is the right one or refused."""
    path, loads, totals, refused = tmp_path / "run.zarr", 0, 0, set()
    process = written_fast(path, 3)
    while process.poll() is None:
        if not path.exists():
            continue
        run = lca_core.load(path)
        loads += 1
        x = 0.999**run.steps * np.array([2.0, 1.0])
        truth = np.array([1.0, 2.0]) * (x**3 - np.array([8.0, 1.0]))
        assert run.loss("train")[-1] == pytest.approx(x[0] ** 3 + 2 * x[1] ** 3)
        try:
            total = run.total("train")["x"]
        except RunFileError as error:
            refused.add(str(error))
        else:
            assert total == pytest.approx(truth)
            totals += 1
    assert process.returncode == 0
    assert loads > 3
    assert totals > 0
    assert all("has gone on since it was loaded" in one for one in refused)


def test_a_run_that_goes_on_while_it_is_loaded(tmp_path, monkeypatch):
    """Where the checkpoint is dropped as soon as its root is read, the newer one is loaded."""
    tracker = walked(tracked(tmp_path / "run.zarr", chunk=1), 0, 3)
    read, later = store.read_root, iter([(3, 6)])

    def read_and_go_on(path):
        found = read(path)
        for begin, end in later:
            walked(tracker, begin, end)
        return found

    monkeypatch.setattr(store, "read_root", read_and_go_on)
    run, truth = lca_core.load(tmp_path / "run.zarr"), uninterrupted(6)
    assert np.array_equal(run.loss("train"), truth.loss("train"))
    assert np.array_equal(run.total("train")["b"], truth.total("train")["b"])


def test_totals_outlive_one_write(tmp_path):
    """A loaded run gives its totals after the next write; later it says to load it again."""
    path = tmp_path / "run.zarr"
    tracker = walked(tracked(path, chunk=1), 0, 3)
    run, truth = lca_core.load(path), uninterrupted(3).total("train")
    tracker.step(iterate(4))
    assert all(np.array_equal(run.total("train")[name], truth[name]) for name in truth)
    leaves = run.totals["train"]["total"]
    tracker.step(iterate(5))
    for ask in (lambda: run.total("train"), lambda: leaves["b"]):
        with pytest.raises(RunFileError, match=r"has gone on.*after 3 steps\. Load it again"):
            ask()
    assert lca_core.load(path).total("train").keys() == truth.keys()


def test_a_failed_save_leaves_nothing(tmp_path):
    """A save that a full disk broke off leaves no file at the path or beside it; it can be made."""
    run, path = uninterrupted(3), tmp_path / "run.zarr"
    with _Disk(tmp_path) as disk:
        run.save(tmp_path / "dry.zarr")
    shutil.rmtree(tmp_path / "dry.zarr")
    writes, failed = len(disk.writes), 0
    for moment in sorted({*range(2, writes, writes // 4), writes - 3}):
        with _Disk(tmp_path, moment, once=True):
            try:
                run.save(path)
            except OSError:
                failed += 1
        # To make a folder that is there already may fail and hurt nobody.
        assert list(tmp_path.iterdir()) in ([], [path])
        if path.exists():
            assert bits(lca_core.load(path)) == bits(run)
            shutil.rmtree(path)
    assert failed > 1
    run.save(path)
    assert bits(lca_core.load(path)) == bits(run)


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_an_existing_path_is_refused(make, tmp_path):
    """Nothing that stands at the path is overwritten, be it a run or not."""
    path = tmp_path / "run.zarr"
    make(path)
    with pytest.raises(FileExistsError, match=r"already something at.*run\.zarr.*resume=True"):
        tracked(path)
    with pytest.raises(FileExistsError, match=r"run\.zarr"):
        demo_run(1).save(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("resume", [True, False])
def test_a_path_without_a_name_is_refused(resume):
    """An empty path, as of an unset variable, is told what a path is; nothing is made."""
    with pytest.raises(RunFileError, match=r"path must name the run file .*got ''.*run\.zarr"):
        tracked("", resume=resume)
    with pytest.raises(RunFileError, match="path must name"):
        demo_run(1).save("")


def test_a_run_is_not_overwritten(tmp_path):
    """Starting again at a path with a run is refused, and the run is left as it was."""
    path = tmp_path / "run.zarr"
    truth = bits(walked(tracked(path), 0, 3).finish())
    with pytest.raises(FileExistsError):
        tracked(path)
    assert bits(lca_core.load(path)) == truth


def test_no_run_at_the_path(tmp_path):
    """Loading from where there is nothing says so."""
    with pytest.raises(FileNotFoundError, match=r"no run at '.*nowhere'"):
        lca_core.load(tmp_path / "nowhere")


def _group(path):
    zarr.open_group(path, mode="w")


def _array(path):
    zarr.create_array(path, shape=(2,), dtype="f8")


def _broken(path):
    path.mkdir()
    (path / "zarr.json").write_text("{")


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, _group, _array, _broken])
@pytest.mark.parametrize("resume", [True, False])
def test_what_is_not_a_run_is_refused(make, resume, tmp_path):
    """A file, a folder, another Zarr group or a broken one is refused by name, for resuming too."""
    path = tmp_path / "other"
    make(path)
    with pytest.raises(RunFileError, match=r"other' is not a run file"):
        tracked(path, resume=True) if resume else lca_core.load(path)


def _edited(path, **changes):
    """Change what the root of a run file says of itself."""
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"]["lca"] |= changes
    (path / "zarr.json").write_text(json.dumps(root))


def test_newer_files_are_refused(tmp_path):
    """A file of a later schema is refused with the version that wrote it."""
    path = tmp_path / "run.zarr"
    walked(tracked(path), 0, 2).finish()
    _edited(path, schema=99, written_by="loss-change-allocation 9.0")
    with pytest.raises(RunFileError, match=r"schema 99.*written by loss-change-allocation 9\.0"):
        lca_core.load(path)


@pytest.mark.parametrize("lost", ["gap", "loss", "iteration", "checkpoints"])
def test_lost_parts_are_named(lost, tmp_path):
    """A file from which a part was deleted is refused, naming the part."""
    path = tmp_path / "run.zarr"
    walked(tracked(path), 0, 2).finish()
    (path / lost).rename(tmp_path / "elsewhere")
    with pytest.raises(RunFileError, match=f"lost.*{lost}"):
        lca_core.load(path)


def test_damaged_parts_are_named(tmp_path):
    """A file whose description of an array is cut off is refused, naming the array."""
    path = tmp_path / "run.zarr"
    walked(tracked(path), 0, 2).finish()
    (path / "gap" / "zarr.json").write_text("")
    with pytest.raises(RunFileError, match="damaged array 'gap'"):
        lca_core.load(path).gap("train")


def _read(path, name):
    """Read an array of a run file as its users do."""
    return np.asarray(lca_core.load(path).rows[name])


EVERYTHING = {"observers": (Totals(), Counts(), Dense(["b"]))}


@pytest.mark.parametrize("name", ["iteration", "loss", "status", "error", "dense_allocation_1"])
def test_lost_values_are_refused(name, tmp_path):
    """A file with a deleted chunk is refused by the array's name, whatever was in the chunk."""
    path = tmp_path / "run.zarr"
    walked(tracked(path, chunk=2, **EVERYTHING), 0, 5).finish()
    whole = _read(path, name)
    found = max((path / name / "c").iterdir())
    found.rename(tmp_path / "elsewhere")
    with pytest.raises(RunFileError, match=f"run.zarr' has a damaged array '{name}'.*not there"):
        _read(path, name)
    (tmp_path / "elsewhere").rename(found)
    np.testing.assert_array_equal(_read(path, name), whole)


def test_a_step_that_says_nothing_is_written(tmp_path):
    """Zeros and NaN, which Zarr would leave out, are no lost values: lost steps load, and go on."""
    path, lost = tmp_path / "run.zarr", {k: np.full_like(v, np.inf) for k, v in iterate(1).items()}
    tracker = tracked(path, **EVERYTHING, chunk=1)
    with np.errstate(invalid="ignore"):
        for _ in range(3):
            tracker.step(lost)
        tracker.finish()
    assert np.isnan(lca_core.load(path).loss("train")[1:]).all()
    lca_core.load(path).save(tmp_path / "saved.zarr")
    for copy in (path, tmp_path / "saved.zarr"):
        assert (lca_core.load(copy).status("train") == Status.NONFINITE).all()


def test_lost_values_of_earlier_files_are_unknown(tmp_path):
    """Files of versions that left such chunks out load, go on, and read as unknown there."""
    path = tmp_path / "run.zarr"
    walked(tracked(path), 0, 2).finish()
    _edited(path, every_chunk_written=False)
    for name in ("loss", "status"):
        shutil.rmtree(path / name / "c")
    assert np.isnan(lca_core.load(path).loss("train")[1:]).all()  # the first stands elsewhere too
    assert (_read(path, "status") == 0).all()


def test_an_earlier_file_goes_on_as_one(tmp_path):
    """A resumed file of such a version is not taken for one that holds every chunk."""
    path = tmp_path / "run.zarr"
    walked(tracked(path, chunk=1), 0, 2).finish()
    _edited(path, every_chunk_written=False)
    shutil.rmtree(path / "status" / "c" / "0")
    walked(tracked(path, 2, resume=True), 2, 4).finish()
    assert bits(lca_core.load(path)) == bits(uninterrupted(4))


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
@pytest.mark.parametrize("name", ["loss", "dense_allocation_1"])
def test_damaged_values_are_named(name, damage, tmp_path):
    """A chunk that is empty, overwritten or cut off is refused, naming the array."""
    path = tmp_path / "run.zarr"
    walked(tracked(path, **EVERYTHING), 0, 5).finish()
    chunk = next(one for one in (path / name / "c").rglob("*") if one.is_file())
    chunk.write_bytes(chunk.read_bytes()[:20] if damage is None else damage)
    with pytest.raises(RunFileError, match=f"damaged array '{name}'"):
        _read(path, name)


@pytest.mark.parametrize("damage", [b"garbage", None])
@pytest.mark.parametrize("name", ["iteration", "gap", "dense_allocation_1"])
def test_a_damaged_end_is_not_gone_on_with(name, damage, tmp_path):
    """A run is resumed only if its next write can go on where the last one ended, hours later."""
    path = tmp_path / "run.zarr"
    walked(tracked(path, **EVERYTHING), 0, 5).finish()
    chunk = next(one for one in (path / name / "c").rglob("*") if one.is_file())
    chunk.unlink() if damage is None else chunk.write_bytes(damage)
    with pytest.raises(RunFileError, match=f"damaged array '{name}'"):
        tracked(path, 5, resume=True, **EVERYTHING)


def test_a_file_of_a_version_that_kept_less(monkeypatch, tmp_path):
    """It is read with all its numbers; to resume it is refused, and says why."""
    path = tmp_path / "run.zarr"
    with monkeypatch.context() as before:
        before.setattr("lca_core.allocate.LEDGER", LEDGER[:-1])
        walked(tracked(path), 0, 5).finish()
    run = lca_core.load(path)
    assert LEDGER[-1].name not in run.rows
    whole = walked(tracked(tmp_path / "new.zarr"), 0, 5).finish()
    np.testing.assert_array_equal(run.error("train").values, whole.error("train").values)
    with pytest.raises(
        ResumeError, match=rf"another version of LCA, which keeps.*{LEDGER[-1].name}"
    ):
        tracked(path, 5, resume=True)


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_damaged_totals_are_named(damage, tmp_path):
    """Totals whose values are deleted, empty or overwritten are refused, naming the array."""
    path = tmp_path / "run.zarr"
    walked(tracked(path, **TOTALS), 0, 5).finish()
    run = lca_core.load(path)
    chunk = path / "checkpoints/000000005/0/total/0/0.0"
    chunk.unlink() if damage is None else chunk.write_bytes(damage)
    with pytest.raises(RunFileError, match="damaged array 'checkpoints/000000005/0/total/0'"):
        run.total("train")


@pytest.mark.parametrize("root", [{}, "x", [], 3, None])
def test_a_damaged_root_is_named(root, tmp_path):
    """A file whose root attribute is empty or something else is refused, naming it."""
    path = tmp_path / "run.zarr"
    walked(tracked(path), 0, 2).finish()
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["lca"] = root
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(RunFileError, match=r"run.zarr' has a damaged attribute 'lca'"):
        lca_core.load(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rows": 1000}, "array 'iteration': expected 1001 values along its first axis, got 3"),
        ({"rows": -1}, "attribute 'lca'.*rows must be a number of steps, got -1"),
        ({"rows": "2"}, "attribute 'lca'.*rows must be a number of steps, got '2'"),
        ({"schema": "x"}, "attribute 'lca'"),
        ({"declared": [{}]}, "attribute 'lca'"),
        ({"checkpoints": [{"a": 1}]}, "attribute 'lca'"),
        ({"initial_loss": None}, "attribute 'lca'"),
    ],
)
def test_a_root_that_says_too_much_is_refused(changes, says, tmp_path, monkeypatch):
    """More steps than the arrays hold, or what is no number: the message has the path as given."""
    monkeypatch.chdir(tmp_path)
    walked(tracked("run.zarr"), 0, 2).finish()
    _edited(Path("run.zarr"), **changes)
    with pytest.raises(RunFileError, match=f"^The run file 'run.zarr' has a damaged {says}"):
        lca_core.load("run.zarr")


def test_paths_with_a_trailing_slash(tmp_path):
    """A path as the shell completes it, with a slash at its end, is the same path."""
    path = tmp_path / "run.zarr"
    truth = bits(walked(tracked(f"{path}/"), 0, 2).finish())
    assert bits(lca_core.load(f"{path}/")) == bits(lca_core.load(path)) == truth
    assert list(tmp_path.iterdir()) == [path]


# --- going on --------------------------------------------------------------------------------


def uninterrupted(last, **options):
    """Return the run that nothing interrupted."""
    points = options.pop("points", ())
    return walked(tracked(**options), 0, last, points=points).finish()


INTERRUPTIONS = st.fixed_dictionaries(
    {
        "chunks": st.tuples(st.integers(1, 6), st.integers(1, 6)),
        "every": st.integers(1, 3),
        "points": st.sets(st.integers(1, 10), min_size=1, max_size=4),
        "more": st.integers(0, 5),
        "older": st.booleans(),
    }
)


def check_resumed(chunks, every, points, more, older):
    """Interrupt a run some steps after its last checkpoint, go on from it or the one before."""
    kept = sorted(points)[-2:]
    begin, last = kept[0] if older else kept[-1], 14
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.zarr")
        walked(tracked(path, chunk=chunks[0], every=every), 0, kept[-1] + more, points=points)
        tracker = tracked(path, begin, chunk=chunks[1], every=every, resume=True)
        assert tracker.iteration == begin
        walked(tracker, begin, last, points=points).finish()
        truth = uninterrupted(last, every=every, points=points)
        back = lca_core.load(path)
        assert bits(back) == bits(truth)
        assert back.header == truth.header
        assert opened(path).sizes["step"] == truth.steps


@settings(max_examples=5)
@given(INTERRUPTIONS)
def test_resumed_runs_are_the_uninterrupted_ones(interruption):
    """Interrupted at any row and resumed from either checkpoint, a run is bitwise the whole one."""
    check_resumed(**interruption)


@pytest.mark.slow
@settings(max_examples=40)
@given(INTERRUPTIONS)
def test_many_resumed_runs_are_the_uninterrupted_ones(interruption):
    """As above, forty times."""
    check_resumed(**interruption)


def test_another_future_replaces_the_first(tmp_path):
    """Resumed from the older checkpoint and trained otherwise, the first future is gone."""

    def other(t):
        return {name: 0.5 * leaf for name, leaf in iterate(t).items()}

    path = tmp_path / "run.zarr"
    walked(tracked(path, chunk=3), 0, 9, points=(5, 7))
    tracker, truth = tracked(path, 5, resume=True), walked(tracked(), 0, 5)
    assert opened(path).sizes["step"] == lca_core.load(path).steps == 5
    for t in (6, 7):
        tracker.step(other(t))
    tracker.checkpoint()
    with pytest.raises(ResumeError, match=r"\[5, 7\]"):
        tracked(path, 7, resume=True)
    tracker = tracked(path, params=other(7), resume=True)
    tracker.step(other(8))
    for t in (6, 7, 8):
        truth.step(other(t))
    assert bits(tracker.finish()) == bits(truth.finish())
    with xarray.open_zarr(path, consolidated=False) as dataset:
        assert dataset.sizes["step"] == 8


@pytest.mark.parametrize("seen", [0, 2, 7])
def test_automatic_checkpoints(seen, tmp_path):
    """Without any call of checkpoint(), a run goes on from the start or its last whole chunk."""
    path = tmp_path / "run.zarr"
    walked(tracked(path, chunk=3), 0, seen)
    whole = seen // 3 * 3
    walked(tracked(path, whole, chunk=3, resume=True), whole, 8).finish()
    assert bits(lca_core.load(path)) == bits(uninterrupted(8))


def test_a_finished_run_goes_on(tmp_path):
    """A finished run is resumed from its end, and readable by both readers meanwhile."""
    path = tmp_path / "run.zarr"
    for begin, end in ((0, 3), (3, 6)):
        tracker = tracked(path, begin, resume=True, chunk=2)
        assert opened(path).sizes["step"] == begin
        walked(tracker, begin, end)
        assert begin <= opened(path).sizes["step"] <= end
        tracker.finish()
        assert opened(path).sizes["step"] == end
    assert bits(lca_core.load(path)) == bits(uninterrupted(6))


def test_nothing_is_resumed_without_a_path():
    """A record in memory is gone when its process is: who asks to go on with it is told."""
    with pytest.raises(ResumeError, match="pass its path="):
        tracked(None, resume=True)


def test_resume_starts_what_is_not_there(tmp_path):
    """resume=True at an empty path starts a run."""
    tracker = tracked(tmp_path / "run.zarr", resume=True)
    assert tracker.iteration == 0
    assert bits(walked(tracker, 0, 2).finish()) == bits(uninterrupted(2))


@pytest.mark.parametrize(
    ("changed", "setting"),
    [
        ({"every": 2}, "every"),
        ({"integrator": Adaptive(rtol=0.5, audit=4)}, "integrator"),
        ({"integrator": Fixed(lca_core.SIMPSON)}, "integrator"),
        ({"observers": (Totals(), Counts())}, "observers"),
        ({"oracles": {"train": TRAIN}}, "measures"),
        ({"oracles": {"val/x": VAL, "train": TRAIN}}, "measures"),
        ({"oracles": {"train": evolve(TRAIN, eps=1e-7), "val/x": VAL}}, "eps"),
        ({"layout": Layout(evolve(leaf, layer="l") for leaf in TRAIN.layout.leaves)}, "layout"),
    ],
)
def test_other_settings_are_refused(changed, setting, tmp_path):
    """A run is not continued with another setting; the message names it, the file is untouched."""
    path = tmp_path / "run.zarr"
    truth = bits(walked(tracked(path), 0, 3).finish())
    with pytest.raises(ResumeError, match=f"was made with {setting} = "):
        tracked(path, 3, resume=True, **changed)
    assert bits(lca_core.load(path)) == truth


def test_only_the_leaves_that_differ_are_told(tmp_path):
    """The leaves of a network are many; those that are as they were say nothing."""
    path = tmp_path / "run.zarr"
    walked(tracked(path), 0, 3).finish()
    first, *others = TRAIN.layout.leaves
    layout = Layout([evolve(first, layer="elsewhere"), *others])
    with pytest.raises(ResumeError, match=r"now it is .*elsewhere") as found:
        tracked(path, 3, resume=True, layout=layout)
    assert others
    assert not any(f"'{leaf.name}'" in str(found.value) for leaf in others)


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (Dense(["b"]), Dense(["w/a.b"]), r"dense_allocation_1 of b .*dense_allocation_0 of w/a\.b"),
        (Dense(["b", "e"]), Dense(["b"]), r"dense_allocation_2 of e .*now it would be \[\]"),
        (Dense(["b"], ["weight"]), Dense(["b"]), r"dense_weight_1 of b .*dense_allocation_1 of b"),
    ],
)
def test_other_arrays_are_refused(before, now, says, tmp_path):
    """A run is not continued with an observer of other arrays; they are named, the file stays."""
    path = tmp_path / "run.zarr"
    truth = bits(walked(tracked(path, observers=[before]), 0, 2).finish())
    with pytest.raises(ResumeError, match=says):
        tracked(path, 2, observers=[now], resume=True)
    assert bits(lca_core.load(path)) == truth
    walked(tracked(path, 2, observers=[before], resume=True), 2, 3).finish()
    assert bits(lca_core.load(path)) == bits(uninterrupted(3, observers=[before]))


def test_chunks_and_versions_may_change(tmp_path):
    """How often it is written, and by which numpy, is no setting of the run."""
    path = tmp_path / "run.zarr"
    walked(tracked(path, chunk=4), 0, 3).finish()
    config = json.loads((path / "zarr.json").read_text())["attributes"]["lca"]["config"]
    _edited(path, config=config | {"versions": {"numpy": "0.1"}})
    walked(tracked(path, 3, chunk=1, resume=True), 3, 5).finish()
    assert bits(lca_core.load(path)) == bits(uninterrupted(5))


def test_unknown_parameters_are_refused(tmp_path):
    """A model that stands at no checkpoint is refused, listing the iterations of all."""
    path = tmp_path / "run.zarr"
    walked(tracked(path, chunk=4), 0, 9, points=(2, 5, 7))
    before = bits(lca_core.load(path))
    with pytest.raises(ResumeError, match=r"none of the checkpoints .*\[5, 7, 8\].*checkpoint\(\)"):
        tracked(path, 6, resume=True)
    assert bits(lca_core.load(path)) == before


@pytest.mark.parametrize(("at", "factor"), [(5, 1 + 1e-9), (7, np.nan)])
def test_another_data_set_is_refused(at, factor, tmp_path):
    """If the loss at the checkpoint is another one, nothing is continued and nothing is lost."""
    path = tmp_path / "run.zarr"
    walked(tracked(path, chunk=4), 0, 9, points=(5, 7))
    before = bits(lca_core.load(path))
    coefficients = {name: factor * c for name, c in COEFFICIENTS.items()}
    with pytest.raises(ResumeError, match=r"'val/x': the run recorded a loss of .*now it is"):
        tracked(
            path, at, resume=True, oracles={"train": TRAIN, "val/x": Polynomial(coefficients, 3)}
        )
    assert bits(lca_core.load(path)) == before
    assert opened(path).sizes["step"] == 8
    assert tracked(path, 7, resume=True).iteration == 7


def test_undefined_losses_resume(tmp_path):
    """A checkpoint at which the loss was NaN is recognised when the loss is NaN again."""
    problem = Polynomial({"x": np.ones(1)}, 2)
    path = tmp_path / "run.zarr"
    bad = {"x": np.full(1, np.nan)}
    with np.errstate(all="ignore"):
        tracker = track({"train": problem}, {"x": np.ones(1)}, problem.layout, path=path)
        tracker.step(bad)
        tracker.finish()
        again = track({"train": problem}, bad, problem.layout, path=path, resume=True)
    assert again.iteration == 1


def test_rounding_of_a_loss_is_no_other_data_set(tmp_path):
    """A loss that differs by a few roundings, as on another machine, is the same loss."""
    path = tmp_path / "run.zarr"
    walked(tracked(path), 0, 3).finish()
    coefficients = {name: (1 + 4e-16) * c for name, c in COEFFICIENTS.items()}
    oracles = {"train": Polynomial(coefficients, 4), "val/x": VAL}
    assert tracked(path, 3, resume=True, oracles=oracles).iteration == 3


def test_no_checkpoints_pile_up(tmp_path):
    """Checkpoints asked for (two) and the newest automatic one stay, one older one in passing."""
    path = tmp_path / "run.zarr"
    tracker = tracked(path, chunk=2)
    for t in range(1, 23):
        tracker.step(iterate(t))
        if t % 5 == 0:
            tracker.checkpoint()
        folders = {p.name for p in (path / "checkpoints").iterdir() if p.is_dir()}
        asked = set(range(5, t + 1, 5))
        kept = set(sorted(asked)[-2:])
        assert kept <= {int(name) for name in folders}
        assert len(folders) <= 4
    tracker.finish()
    assert len(list((path / "checkpoints").glob("0*"))) == 2
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert size < 2 * sum(f.stat().st_size for f in _saved(tmp_path, 22).rglob("*") if f.is_file())


def _saved(folder, steps):
    path = folder / "saved.zarr"
    uninterrupted(steps).save(path)
    return path


def test_runs_without_totals_resume(tmp_path):
    """A run whose observers keep nothing running can go on too."""
    path = tmp_path / "run.zarr"
    walked(tracked(path, observers=()), 0, 3).finish()
    walked(tracked(path, 3, observers=(), resume=True), 3, 5).finish()
    run = lca_core.load(path)
    assert bits(run) == bits(walked(tracked(observers=()), 0, 5).finish())
    with pytest.raises(NotRecordedError, match="Totals"):
        run.total("train")


# --- crashes ---------------------------------------------------------------------------------


TOTALS = {"observers": (Totals(),)}


@pytest.fixture(scope="module")
def half_done(tmp_path_factory):
    """Return a run file with one chunk of two steps, and the writes of the next one to fail at."""
    path = tmp_path_factory.mktemp("half") / "run.zarr"
    walked(tracked(path, **TOTALS, chunk=2), 0, 2)
    dry = path.with_name("dry.zarr")
    _, disk = next_flush(path, dry)
    names = [Path(name).relative_to(dry) for name in disk.writes]
    root = [i for i, name in enumerate(names) if name.parts and "zarr.json" in name.parts[0]]
    assert len(root) >= 2
    some = {0, len(names) - 1, *range(7, len(names), len(names) // 3)}
    return path, sorted(some.union(*({i, i + 1} for i in root)) & set(range(len(names))))


def next_flush(half_done, path, fatal=None, *, once=False):
    """Go on with a copy of the file for two steps; return the tracker and the disk."""
    shutil.copytree(half_done, path)
    tracker = walked(tracked(path, 2, **TOTALS, chunk=2, resume=True), 2, 3)
    with _Disk(path, fatal, once=once) as disk, suppress(OSError, _Crash):
        tracker.step(iterate(4))
    return tracker, disk


def test_a_crash_in_a_flush(tmp_path, half_done):
    """Killed at any write of a flush, the file holds the chunk before it, or both, whole."""
    truths = {steps: uninterrupted(steps, **TOTALS) for steps in (2, 4)}
    seen = set()
    for moment in half_done[1]:
        path = tmp_path / f"{moment}.zarr"
        next_flush(half_done[0], path, moment)
        run, dataset = lca_core.load(path), opened(path)
        seen.add(run.steps)
        assert bits(run) == bits(truths[run.steps])
        assert run.steps == dataset.sizes["step"] == dataset.sizes["iterate"] - 1
        assert tracked(path, run.steps, **TOTALS, resume=True).iteration == run.steps
    assert seen == {2, 4}


def test_a_crash_while_a_chunk_is_written_again(tmp_path):
    """Rows that count already lie in the chunks that the next write replaces: they stay whole."""
    half, truths = tmp_path / "half.zarr", {n: bits(uninterrupted(n, **TOTALS)) for n in (2, 4)}
    walked(tracked(half, **TOTALS), 0, 2, points=(2,))

    def checkpoint(path, fatal):
        shutil.copytree(half, path)
        tracker = walked(tracked(path, 2, **TOTALS, resume=True), 2, 4)
        with _Disk(path, fatal) as disk, suppress(_Crash):
            tracker.checkpoint()
        return len(disk.writes)

    seen, writes = set(), checkpoint(tmp_path / "dry.zarr", None)
    for moment in {*range(0, writes, 7), writes - 1, writes}:
        path = tmp_path / f"{moment}.zarr"
        checkpoint(path, moment)
        run = lca_core.load(path)
        seen.add(run.steps)
        assert bits(run) == truths[run.steps]
    assert seen == {2, 4}


def test_a_full_disk_is_survived(tmp_path, half_done):
    """If one write fails and the loop goes on, the next flush writes everything, nothing twice."""
    truth = bits(uninterrupted(6, **TOTALS))
    for moment in half_done[1]:
        path = tmp_path / f"{moment}.zarr"
        tracker, _ = next_flush(half_done[0], path, moment, once=True)
        assert tracker.iteration == 4
        walked(tracker, 4, 6)
        assert bits(lca_core.load(path)) == truth


def trained_until_done(path, last, moments):
    """Train to the end through one crash after another, each at some write; yield after each."""
    model = 0
    for moment in moments:
        try:
            with _Disk(path.parent, moment):
                tracker = tracked(path, model, chunk=3, resume=True)
                if tracker.iteration == 0:
                    tracker.checkpoint()
                for t in range(model + 1, last + 1):
                    tracker.step(iterate(t))
                    if t % 4 == 0:
                        tracker.checkpoint()
                        model = t
                tracker.finish()
        except _Crash:
            yield model
        else:
            return


def check_crashes(crashes, last=13):
    """Both readers must see the file after every crash; the last process finishes the run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.zarr")
        for model in trained_until_done(path, last, [*crashes, None]):
            if path.exists():
                run = lca_core.load(path)
                assert run.steps == opened(path).sizes["step"] >= model
                truth = uninterrupted(run.steps)
                assert np.array_equal(run.loss("train"), truth.loss("train"))
                assert run.total("train")["b"] == truth.total("train")["b"]
        assert bits(lca_core.load(path)) == bits(uninterrupted(last))
        assert list(path.parent.iterdir()) == [path]


CRASHES = st.lists(st.integers(0, 1200), min_size=1, max_size=3)


@settings(max_examples=3)
@given(CRASHES)
def test_crashes_at_any_write(crashes):
    """Whichever write is the last before a crash, the file is readable, and the run goes on."""
    check_crashes(crashes)


@pytest.mark.slow
@settings(max_examples=100)
@given(CRASHES)
def test_crashes_at_many_writes(crashes):
    """As above, a hundred times."""
    check_crashes(crashes)
