"""Files are whole or absent, and nothing is unpickled."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest

from dancenet.support import arrays, checked, files
from dancenet.support.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path):
    path = tmp_path / "dance.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half way"):
        with files.atomic_path(path) as temporary:
            temporary.write_text("new")
            raise RuntimeError("half way")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["dance.txt"]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path):
    files.write_text(tmp_path / "a.txt", "a")
    (tmp_path / "b.txt").write_text("b")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")}
    assert len(modes) == 1


def test_a_temporary_file_keeps_the_suffix(tmp_path):
    with files.atomic_path(tmp_path / "dance.mp4") as temporary:
        assert temporary.suffix == ".mp4"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        with files.atomic_path(tmp_path / "nowhere" / "a.txt"):
            pass


def test_json_round_trips_and_damage_is_named(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"é": [1, 2.5, None]})
    assert checked.read_json(path, "test") == {"é": [1, 2.5, None]}
    path.write_text("{")
    with pytest.raises(UserError, match="not a valid test"):
        checked.read_json(path, "test")
    with pytest.raises(UserError, match="There is no test at"):
        checked.read_json(tmp_path / "b.json", "test")


def test_npz_round_trips(tmp_path):
    path = tmp_path / "a.npz"
    arrays.write_npz(path, x=np.arange(5), name=np.array("n"))
    found = checked.read_npz(path, "test")
    assert found["x"].tolist() == [0, 1, 2, 3, 4]
    assert str(found["name"]) == "n"


@pytest.mark.parametrize("keep", [0, 1, 100, -10])
def test_a_cut_npz_is_refused(tmp_path, keep):
    path = tmp_path / "a.npz"
    arrays.write_npz(path, x=np.random.default_rng(0).random(1000))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="not a readable test"):
        checked.read_npz(path, "test")


def test_a_pickle_inside_an_npz_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="not a readable test"):
        checked.read_npz(path, "test")


def test_a_single_array_is_not_an_archive(tmp_path):
    path = tmp_path / "a.npz"
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match="single array"):
        checked.read_npz(path, "test")


def test_an_existing_file_is_replaced_only_if_allowed_or_ours(tmp_path):
    path = tmp_path / "a.txt"
    files.check_overwrite(path, overwrite=False)
    path.write_text("a user's work")
    with pytest.raises(UserError, match="exists already"):
        files.check_overwrite(path, overwrite=False)
    with pytest.raises(UserError, match="exists already"):
        files.check_overwrite(path, overwrite=False, is_ours=lambda path: False)
    files.check_overwrite(path, overwrite=True)
    files.check_overwrite(path, overwrite=False, is_ours=lambda path: True)


def test_a_file_that_is_not_an_archive_is_named_without_advice_to_unpickle(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"\xff\xd8 a picture")
    with pytest.raises(UserError, match="is not a readable file of latents") as caught:
        checked.read_npz(tmp_path / "a.npz", "file of latents")
    assert "pickle" not in str(caught.value)
