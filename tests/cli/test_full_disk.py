"""What cannot be written leaves what was there, and says which file it is about."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from lca_core.cli.commands import lca
from lca_core.reference import demo_run
from lca_core.whole import whole

resource = pytest.importorskip("resource")


@contextmanager
def full_disk(room):
    """Let no file of this process grow beyond so many bytes."""
    earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, earlier[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, earlier)


@pytest.fixture(scope="module")
def run_file(tmp_path_factory):
    """Return the path of a run."""
    path = tmp_path_factory.mktemp("run") / "run.zarr"
    demo_run(3).save(path)
    return path


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("figure", "a.png"),
        ("figure", "a.pdf"),
        ("figure", "a.svg"),
        ("figure", "a"),
        ("report", "a.html"),
    ],
)
def test_a_full_disk_destroys_nothing(command, name, run_file, tmp_path):
    """The earlier file stays, nothing lies beside it, and a sentence names the file."""
    place = tmp_path / name
    place.write_bytes(b"earlier")
    of = ["loss"] if command == "figure" else []
    with full_disk(5_000):
        result = CliRunner().invoke(lca, [command, str(run_file), *of, "-o", str(place)])
    assert result.exit_code == 1
    assert f"Error: '{place}' could not be written: " in result.output
    assert isinstance(result.exception, SystemExit)
    assert place.read_bytes() == b"earlier"
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_file_appears_whole(tmp_path):
    """Until all is written the earlier file is in its place; then there is the new one alone."""
    place = tmp_path / "a"
    place.write_text("earlier")
    with whole(place) as aside:
        aside.write_text("new")
        assert place.read_text() == "earlier"
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"a": "new"}


def test_the_kind_of_error_is_kept(tmp_path):
    """Who waits for a PermissionError gets one; file and remedy are in its words."""
    with (
        pytest.raises(
            PermissionError, match=r"'.*a\.txt' could not be.*forbidden.*another"
        ) as told,
        whole(tmp_path / "a.txt"),
    ):
        raise PermissionError(13, "forbidden", "something else")
    assert told.value.errno == 13


def test_a_link_stays_a_link(tmp_path):
    """What it points to is written anew."""
    (tmp_path / "folder").mkdir()
    link = tmp_path / "a"
    link.symlink_to(tmp_path / "folder" / "b")
    with whole(link) as aside:
        aside.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "folder" / "b").read_text() == "new"


def test_what_is_no_file_is_written_to(run_file):
    """A figure may go to /dev/null, which stays what it is."""
    result = CliRunner().invoke(lca, ["figure", str(run_file), "loss", "-o", "/dev/null"])
    assert result.exit_code == 0, result.output
    assert Path("/dev/null").is_char_device()
