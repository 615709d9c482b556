"""What is read back from a film is what the run says."""

import re
import stat
import sys
import time

import attrs
import numpy as np
import pytest
from attrs import evolve

from core.sampled import redrawn, walked
from lca_core import Dense, Leaf, load
from lca_core.errors import FilmError, MissingExtraError, NotRecordedError
from lca_core.film import lettering, making, named_colours, names, painter, still, write_film
from lca_core.film.colours import palette
from lca_core.film.formats import FORMATS
from lca_core.film.heading import NOT_LOOKED_AT, Heading
from lca_core.film.making import frames
from lca_core.film.page import Label
from lca_core.film.painter import Painter
from lca_core.film.record import Record
from lca_core.film.sheet import Sheet
from lca_core.reference import demo_run

HELP, ZERO, HURT = np.array([[77, 191, 77], [255, 255, 255], [230, 64, 64]])


def halves(steps):
    """Return allocations whose left half helps and right half hurts, then the other way round."""
    one = np.concatenate([np.full((20, 15), -1.0), np.full((20, 15), 1.0)], axis=1)
    signs = np.where(np.arange(steps) % 2, -1.0, 1.0)
    return {"fc.kernel": signs[:, None, None] * one, "fc.bias": np.zeros((steps, 30))}


def places(record, width, smallest):
    """Return where each block of the page lies in a frame: slices of rows and columns."""
    sheet = Sheet(width)
    page = making.lay_out(record.leaves, sheet.stage(smallest))
    left, top = Painter(record, page, sheet, 1.0, range(1))._corner
    return [
        (
            slice(top + b.y, top + b.y + b.rows * page.zoom),
            slice(left + b.x, left + b.x + b.columns * page.zoom),
        )
        for b in page.blocks
    ]


@pytest.mark.parametrize(("name", "allowed"), [("film.mp4", 12), ("film.gif", 1)])
def test_a_film_shows_the_run(name, allowed, run_of, decoded, tmp_path):
    """A frame a step, of the size that was asked for; green left and red right, in turns."""
    run = run_of(halves(6), units={"fc.kernel": 1})
    film = write_film(run, tmp_path / name, width=640)
    shown, _ = decoded(tmp_path / name)
    assert shown.shape == (6, 360, 640, 3)
    assert (film.frames, film.width, film.height, film.pool) == (6, 640, 360, 1)
    kernel, bias = places(Record.of(run), 640, 2 if name.endswith("4") else 1)
    for step, frame in enumerate(shown.astype(int)):
        left, right = np.split(frame[kernel], 2, axis=1)
        if step % 2:
            left, right = right, left
        assert np.abs(np.median(left, axis=(0, 1)) - HELP).max() <= allowed
        assert np.abs(np.median(right, axis=(0, 1)) - HURT).max() <= allowed
        # Sharp up to a pixel or two at the edges.
        assert (np.abs(left - HELP).max(axis=2) <= 40).mean() > 0.9
        assert np.abs(np.median(frame[bias], axis=(0, 1)) - ZERO).max() <= allowed


def test_strength_is_in_proportion(run_of, decoded, tmp_path):
    """A ramp from help to hurt is one in the film: each tenth of the scale is its own blend."""
    ramp = np.repeat(np.linspace(-1, 1, 21), 10)
    run = run_of({"w": np.tile(ramp, (2, 60, 1))}, units={"w": 1})
    film = write_film(run, tmp_path / "film.mp4", width=640)
    (place,) = places(Record.of(run), 640, 2)
    shown = np.median(decoded(tmp_path / "film.mp4")[0][1][place], axis=0)
    for i, value in enumerate(np.linspace(-1, 1, 21)):
        share = min(abs(value) / film.scale, 1)
        expected = ZERO + share * ((HELP if value < 0 else HURT) - ZERO)
        middle = (10 * i + 5) * film.zoom
        np.testing.assert_allclose(shown[middle], expected, atol=8)


@pytest.mark.parametrize(
    ("name", "square"), [("film.mp4", (2, 2)), ("film.gif", (1, 1))], ids=["mp4", "gif"]
)
def test_what_does_not_fit_is_summed(name, square, run_of, tmp_path):
    """H.264 keeps colours for 2 x 2 pixels, so no square is smaller there; GIFs have pixels."""
    run = run_of({"w": np.ones((2, 100, 400))}, units={"w": 1})
    film = write_film(run, tmp_path / name, width=640)
    assert (film.zoom, film.pool) == square
    assert film.scale == pytest.approx(film.pool**2, rel=0.008)


@pytest.mark.parametrize("steps", [range(4), range(1, 4, 2)])
def test_the_frame_says_which_step_it_is(steps, run_of, monkeypatch):
    """Counter, loss at the step's end and its change; the loss is drawn up to there."""
    run = run_of({"w": np.ones((4, 8, 8))}, loss=[2.0, 1.5, 1.25, 1.125, 1.0])
    record, sheet, written = Record.of(run), Sheet(640), []
    page = making.lay_out(record.leaves, sheet.stage(2))
    monkeypatch.setattr(painter, "write", lambda _, words, *rest, **more: written.append(words))
    drawn = list(frames(Painter(record, page, sheet, 1.0, steps), steps))
    assert [words for words in written if words.startswith("step")] == [
        f"step {step + 1} of 4" for step in steps
    ]
    assert "loss 1.5, changed by −5.00e−01" in written or steps[0]
    assert "loss 1, changed by −1.25e−01" in written
    # Full ink in the box of the loss ends at the dot: at the iterate behind the step.
    box, ink = sheet.loss, drawn[0].max()
    ends = [
        np.flatnonzero((frame[box.y : box.y + box.height, : box.x + box.width] == ink).any(axis=0))[
            -1
        ]
        for frame in drawn
    ]
    passed = np.array([step + 1 - steps[0] for step in steps]) / (steps[-1] + 1 - steps[0])
    right = box.x + box.width
    begin = right - (right - ends[0]) / (1 - passed[0])
    assert box.x < begin < box.x + box.width / 4
    np.testing.assert_allclose(ends, begin + passed * (right - begin), atol=4)


@pytest.mark.parametrize("width", [320, 480, 640, 960, 1920])
@pytest.mark.parametrize("pool", [1, 3, 17, 1000])
@pytest.mark.parametrize("steps", [3, 12_000])
def test_the_heading_is_never_cut(steps, pool, width, run_of):
    """However narrow: numbers are whole, sums are said, and no line meets what is on its right."""
    run = run_of({"w": np.ones((steps, 2, 1)), "v": np.ones((steps, 3))}, kept=["w"])
    record, sheet = Record.of(run), Sheet(width)
    head = Heading.of(record, pool, sheet)
    counter = lettering.width(f"step {steps:,} of {steps:,}", sheet.large)
    assert lettering.width(head.title, sheet.large) + counter < sheet.title.width
    assert "2 of 5" in head.title
    told = (head.step.format(-0.00012345, -1e-100), head.lost)
    right = max(lettering.width(words, sheet.small) for words in told)
    assert lettering.width(head.square, sheet.small) + right < sheet.subtitle.width
    assert pool == 1 or f"{pool} × {pool}" in head.square


@pytest.mark.parametrize("width", [320, 480, 1920])
@pytest.mark.parametrize("every", [1, 4, 1000])
@pytest.mark.parametrize("pool", [1, 1000])
def test_the_heading_of_samples_is_never_cut(pool, every, width, run_of):
    """However narrow: what is said of an estimate, and of a step passed over, is whole."""
    run = run_of({"w": np.ones((3, 2, 1))})
    probe = attrs.asdict(walked({"train": redrawn(every=every)}).probe("train"))
    run = evolve(run, header=evolve(run.header, config={"probes": {"train": probe}}))
    sheet = Sheet(width)
    head = Heading.of(Record.of(run), pool, sheet)
    for words in (head.step.format(-0.00012345, -1e-100), head.lost, NOT_LOOKED_AT):
        right = lettering.width(words, sheet.small)
        assert lettering.width(head.square, sheet.small) + right < sheet.subtitle.width
    assert every == 1 or f"{every:,} steps" in head.step


@pytest.mark.parametrize("every", [1, 4])
def test_of_samples_the_heading_is_what_the_page_adds_up_to(every, monkeypatch):
    """Two samples' losses differ by the draw: said is what was allocated, never their difference.

    Where a look stands for several steps, it says so; at the others nobody claims to have looked.
    """
    run = walked({"train": redrawn(every=every)}, observers=[Dense()])
    written = []
    monkeypatch.setattr(painter, "write", lambda _, words, *rest, **more: written.append(words))
    looked, loss = run.looked_at("train"), run.loss("train")
    dense = [run.dense("train", leaf.name)[:] for leaf in run.layout.leaves]
    stood = "" if every == 1 else f" of {every} steps"
    for step in range(run.steps):
        del written[:]
        still(run, step, width=1280)
        change = sum(values[step].sum() for values in dense)
        told = f"loss of its sample {loss[step + 1]:.4g}, estimated change{stood} {change:+.2e}"
        assert (told.replace("-", "−") in written) == looked[step]
        assert ("not looked at" in written) != looked[step]
        assert "changed by" not in "".join(written)


def test_a_look_at_segments_counts_segments():
    """Where several steps are measured at once, a look is not said to stand for single ones."""
    run = walked({"train": redrawn(every=4)}, observers=[Dense()], every=2)
    head = Heading.of(Record.of(run), 1, Sheet(1280))
    assert "estimated change of 4 segments" in head.step


def test_steps_passed_over_look_so():
    """A step that was not looked at is grey where parameters are, which no allocation is."""
    run = walked({"train": redrawn(every=4)}, observers=[Dense()])
    record = Record.of(run)
    grey = np.rint(255 * np.array(named_colours().lost))
    for step, looked in enumerate(run.looked_at("train")):
        shown = still(run, step, width=640)
        for place in places(record, 640, 2):
            assert (shown[place] == grey).all() != looked


def test_a_small_film_says_all_that_matters(run_of, monkeypatch):
    """At the smallest width there are the count of parameters, the sums, the loss and the step."""
    run = run_of({"w": np.ones((400, 120, 100)), "b": np.ones((400, 60))}, units={"w": 1})
    written = []
    monkeypatch.setattr(painter, "write", lambda _, words, *rest, **more: written.append(words))
    still(run, 2, width=320)
    for words in (
        "train: LCA of 12,060 parameters",
        "sums of 2 × 2 parameters",
        "step 3 of 400",
        "loss 1.992 (−2.50e−03)",
    ):
        assert words in written, written


NAMES = {
    "one end": [f"transformer_encoder_block_number_{i}_self_attention_dense" for i in range(6)],
    "a grid": [f"block{i}_conv{j}" for i in range(50) for j in range(4)],
    "numbers": [f"model.layers.{i}" for i in range(100, 140)],
    "some long": [*(f"fc{i}" for i in range(9)), "classifier_head_with_a_long_name", "norm"],
}


@pytest.mark.parametrize("width", [320, 640, 1280])
@pytest.mark.parametrize("kind", NAMES)
def test_no_two_layers_have_one_label(kind, width, run_of, monkeypatch):
    """What is written above a layer is its alone and has room, or nothing is written."""
    run = run_of({f"{name}.w": np.ones((1, 3, 10)) for name in NAMES[kind]})
    told = []
    monkeypatch.setattr(
        painter, "write", lambda _, words, size, box, **more: told.append((words, size, box))
    )
    still(run, 0, width=width)
    page = making.lay_out(Record.of(run).leaves, Sheet(width).stage(2))
    labels = told[2 : 2 + len(page.labels)]
    assert all(lettering.width(words, size) <= box.width for words, size, box in labels)
    seen = [words for words, _, _ in labels if words]
    assert len(seen) == len(set(seen))
    if width == 1280:
        assert len(seen) == len(NAMES[kind])


def test_many_layers_are_named_in_time(run_of):
    """A thousand names that differ in two places are told apart, or left out, within seconds."""
    leaves = [
        Leaf(f"net.{i}.{n}", (2, 2), layer=f"net.{i}.{'x' * 40}.{i % 7}")
        for i in range(1000)
        for n in "w"
    ]
    labels = [Label(i, 0, 0) for i in range(1000)]
    begun = time.process_time()
    found = [name for name in names.written(leaves, labels, [50] * 1000, 10) if name]
    assert time.process_time() - begun < 10
    assert len(found) == len(set(found))


@pytest.mark.parametrize("fps", [0.7, 8, 25, 30, 49, 50])
def test_a_gif_keeps_its_pace(fps, tmp_path):
    """Frames stay for the hundredths that are said, and in the mean as long as was asked for."""
    film = write_film(demo_run(60, observers=[Dense()]), tmp_path / "a.gif", fps=fps, width=320)
    # A graphic control extension: mark, length, flags, delay.
    found = re.findall(rb"\x21\xf9\x04.(..)", (tmp_path / "a.gif").read_bytes(), re.DOTALL)
    delays = [int.from_bytes(delay, "little") for delay in found]
    assert len(delays) == 60
    assert set(delays[:-1]) == set(film.delays)
    assert sum(delays) == pytest.approx(6000 / fps, abs=1)


def test_browsers_can_play_it(run_of, decoded, tmp_path):
    """H.264 with colours for 2 x 2 pixels, of a known colour space, its index in front."""
    write_film(run_of(halves(3)), tmp_path / "film.mp4", width=330, fps=10)
    shown, described = decoded(tmp_path / "film.mp4")
    assert all(word in described for word in ("h264 (High)", "yuv420p(tv, bt709", "10 fps"))
    assert shown.shape[1:3] == (186, 330)
    whole = (tmp_path / "film.mp4").read_bytes()
    assert whole.index(b"moov") < whole.index(b"mdat")


def test_single_parameters_can_be_told_apart(run_of, decoded, tmp_path):
    """A chequerboard of help and hurt, two pixels each, is still one behind H.264."""
    board = np.where(np.indices((60, 180)).sum(axis=0) % 2, 1.0, -1.0)
    run = run_of({"w": np.repeat(board[None], 3, axis=0)}, units={"w": 1})
    film = write_film(run, tmp_path / "film.mp4", width=480)
    assert film.zoom == 2
    (place,) = places(Record.of(run), 480, 2)
    shown = decoded(tmp_path / "film.mp4")[0][-1][place].astype(int)
    squares = shown.reshape(60, 2, 180, 2, 3).mean(axis=(1, 3))
    hurts = squares[..., 0] > squares[..., 1]
    np.testing.assert_array_equal(hurts, board > 0)


def test_what_was_asked_for(decoded, tmp_path):
    """Some steps only, in other colours; the ending may be in capitals."""
    run = demo_run(20, observers=[Dense()])
    dark = named_colours("colour-blind", dark=True)
    film = write_film(
        run, tmp_path / "a.GIF", "train", steps=slice(2, -1), every=4, width=320, colours=dark
    )
    shown, _ = decoded(tmp_path / "a.GIF")
    assert film.frames == len(shown) == 5  # 2, 6, 10, 14, 18
    known = {tuple(colour) for colour in palette(dark).tolist()}
    assert {tuple(colour) for colour in shown.reshape(-1, 3)[::7].tolist()} <= known


def test_a_file_is_read_chunk_by_chunk(run_of, tmp_path, monkeypatch):
    """From a run file: the same frames, and no chunk of a leaf is read twice for them."""
    rng = np.random.default_rng(0)
    run = run_of({"w": rng.standard_normal((150, 5, 4)), "b": rng.standard_normal((150, 5))})
    run.save(tmp_path / "run.zarr")
    stored = load(tmp_path / "run.zarr")
    assert stored.dense("train", "w").chunk == 64
    asked = []
    read = Record.read
    monkeypatch.setattr(
        Record,
        "read",
        lambda self, leaf, steps: asked.append((leaf, steps)) or read(self, leaf, steps),
    )
    drawn = {}
    steps = range(10, 140, 3)
    for name, one in {"memory": run, "file": stored}.items():
        record = Record.of(one)
        sheet = Sheet(320)
        page = making.lay_out(record.leaves, sheet.stage(1))
        drawn[name] = list(frames(Painter(record, page, sheet, 1.0, steps), steps))
    for one, other in zip(drawn["memory"], drawn["file"], strict=True):
        np.testing.assert_array_equal(one, other)
    portions = [range(10, 62, 3), range(64, 128, 3), range(130, 140, 3)]
    assert [some for leaf, some in asked[6:] if leaf == 0] == portions
    assert len(asked) == 12


AWKWARD = {
    "one step": lambda of: of({"w": np.ones((1, 3, 3))}),
    "all zeros": lambda of: of({"w": np.zeros((3, 3, 3))}, loss=np.ones(4)),
    "lost steps": lambda of: of(
        {"w": np.full((4, 3, 3), np.nan)}, lost=range(4), loss=[1.0, np.nan, np.inf, 2.0, np.nan]
    ),
    "nothing finite": lambda of: of({"w": np.ones((2, 3))}, lost=[0, 1], loss=[np.nan] * 3),
    "scalars and empty leaves": lambda of: of(
        {"scale": np.ones((3,)), "none": np.ones((3, 0, 4)), "b": np.ones((3, 7))}
    ),
    "no parameter at all": lambda of: of({"none": np.ones((3, 0))}),
    "a million": lambda of: of({"w": np.ones((2, 1000, 1000)), "v": np.ones((2, 10**6))}),
    "100 layers": lambda of: of(
        {f"model.decoder.block_number.{i}.projection": np.ones((2, 4, 4)) for i in range(100)}
    ),
    "strange names": lambda of: of({"⚠ <b>ü</b>\n.w": np.ones((2, 3)), "": np.ones((2, 2))}),
}


@pytest.mark.parametrize("kind", AWKWARD)
def test_awkward_runs(kind, run_of, decoded, tmp_path):
    """Whatever the run is like: as many frames as steps."""
    run = AWKWARD[kind](run_of)
    film = write_film(run, tmp_path / "film.mp4", width=480)
    assert film.frames == run.steps == len(decoded(tmp_path / "film.mp4")[0])


def test_lost_steps_look_lost(run_of):
    """A step that is not finite is grey where parameters are, and only there."""
    run = run_of({"w": np.ones((3, 8, 8))}, lost=[1], loss=[2.0, 1.0, np.nan, 1.0])
    record, sheet = Record.of(run), Sheet(640)
    page = making.lay_out(record.leaves, sheet.stage(2))
    shown = list(frames(Painter(record, page, sheet, 1.0, range(3)), range(3)))
    (place,) = places(record, 640, 2)
    colours = palette(named_colours())
    grey = np.rint(255 * np.array(named_colours().lost))
    np.testing.assert_array_equal(colours[shown[1][place]].reshape(-1, 3) - grey, 0)
    np.testing.assert_allclose(colours[shown[2][place]].reshape(-1, 3) - HURT, 0, atol=1)


def test_a_still_is_a_frame_of_the_film(decoded, tmp_path):
    """Near what is read back of the film; of the whole run's loss."""
    run = demo_run(6, observers=[Dense()])
    write_film(run, tmp_path / "film.mp4", width=640)
    shown, _ = decoded(tmp_path / "film.mp4")
    one = still(run, 4, width=640)
    apart = [np.abs(frame.astype(int) - one).mean() for frame in shown]
    assert np.argmin(apart) == 4
    assert apart[4] < 2
    with pytest.raises(FilmError, match="has 6 steps"):
        still(run, 6)


def test_what_cannot_be_filmed(tmp_path, run_of):
    """Each is one sentence that says what to do, and leaves no file."""
    dense = demo_run(3, observers=[Dense()])
    refused = [
        (demo_run(3), "a.mp4", {}, NotRecordedError, "lca run --dense"),
        (demo_run(3, observers=[Dense(of=["weight"])]), "a.mp4", {}, NotRecordedError, "--dense"),
        (demo_run(0, observers=[Dense()]), "a.mp4", {}, FilmError, "no steps yet"),
        (dense, "a.avi", {}, FilmError, r"\.mp4 or \.gif, got 'a\.avi'"),
        (dense, "a", {}, FilmError, "got 'a'"),
        (dense, "a.mp4", {"steps": slice(5, 9)}, FilmError, "has 3 steps.*steps 5:9"),
        (dense, "a.mp4", {"every": -1}, FilmError, "are none"),
        (dense, "a.mp4", {"measure": "test"}, NotRecordedError, "not 'test'"),
        (dense, "no/a.mp4", {}, FileNotFoundError, "no folder"),
        (dense, "a.gif", {"fps": 50.5}, FilmError, "at most 50 frames a second, got 50.5"),
        (dense, "a.mp4", {"fps": float("nan")}, FilmError, "above 0, got nan"),
        (dense, "a.mp4", {"fps": 0.0}, FilmError, "above 0, got 0"),
    ]
    for run, name, options, error, says in refused:
        with pytest.raises(error, match=says):
            write_film(run, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_not_read(tmp_path):
    """A film for which the disk has no place is refused before the work, by its name."""
    told, name = [], "a" * 240 + ".mp4"
    with pytest.raises(OSError, match=f"'.*{name}' could not be written: File name too long"):
        write_film(
            demo_run(3, observers=[Dense()]), tmp_path / name, told=lambda *news: told.append(news)
        )
    assert told == []
    assert not list(tmp_path.iterdir())


def test_a_failure_of_ffmpeg_is_told(tmp_path, monkeypatch):
    """What ffmpeg says is in the error; the earlier film stays, nothing else does."""
    (tmp_path / "film.mp4").write_bytes(b"earlier")
    broken = evolve(FORMATS[".mp4"], arguments=("-c:v", "no-such-codec", "-f", "mp4"))
    monkeypatch.setitem(FORMATS, ".mp4", broken)
    run = demo_run(300, observers=[Dense()])
    with pytest.raises(FilmError, match=r"could not write '.*film\.mp4'.*no-such-codec|Encoder"):
        write_film(run, tmp_path / "film.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert (tmp_path / "film.mp4").read_bytes() == b"earlier"


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_an_interruption_leaves_nothing(name, tmp_path):
    """Whatever is raised while it is drawn: no half film, and the error goes on."""

    def stop(what, done, of):
        if what == "frames" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_film(demo_run(9, observers=[Dense()]), tmp_path / name, told=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x:y.mp4", "-y.gif", "a%03d b.gif"])
def test_strange_names_are_names(name, tmp_path, monkeypatch):
    """A film in the folder one stands in may be called what ffmpeg takes for something else."""
    monkeypatch.chdir(tmp_path)
    write_film(demo_run(2, observers=[Dense()]), name, width=320)
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_progress_is_told(tmp_path):
    """The scale first, then every frame."""
    told = []
    run = demo_run(5, observers=[Dense()])
    write_film(run, tmp_path / "a.mp4", width=320, told=lambda *news: told.append(news))
    assert told == [("scale", 5, 5), *(("frames", done, 5) for done in range(1, 6))]


def test_others_may_read_it(tmp_path):
    """A film has the permissions of any new file."""
    (tmp_path / "new").touch()
    write_film(demo_run(2, observers=[Dense()]), tmp_path / "a.gif", width=320)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "a.gif")]
    assert modes[0] == modes[1]


def test_a_machine_without_a_packaged_ffmpeg(tmp_path, monkeypatch):
    """Where pip brings no program, what its package says to do is shown."""

    def none():
        raise RuntimeError("No ffmpeg exe could be found. Install ffmpeg.")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", none)
    with pytest.raises(FilmError, match="Install ffmpeg"):
        write_film(demo_run(2, observers=[Dense()]), tmp_path / "a.mp4")


@pytest.mark.parametrize("missing", ["imageio_ffmpeg", "PIL", "matplotlib"])
def test_without_the_extra(missing, tmp_path, monkeypatch):
    """A missing package is one sentence with the command that installs it."""
    from lca_core.film.lettering import font

    font.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"loss-change-allocation\[film\]"):
        write_film(demo_run(2, observers=[Dense()]), tmp_path / "a.mp4")
    font.cache_clear()
