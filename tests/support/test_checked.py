"""Every field of a file from outside is checked before it is used."""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from mutation import check_reader

from dancenet.support import checked
from dancenet.support.errors import UserError


@dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0


@dataclass(frozen=True)
class Thing:
    name: str
    count: int = 1
    kind: Literal["a", "b"] = "a"
    ok: bool | None = None
    place: Point | None = None
    tags: tuple[str, ...] = ()
    points: dict[str, Point] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be 1 or more; received {self.count}.")


def test_a_record_is_built_from_json():
    content = {
        "name": "x",
        "ok": True,
        "place": {"x": 1},
        "tags": ["a", "b"],
        "points": {"p": {"x": 0.5, "y": 2}},
        "rest": {"any": [None]},
    }
    made = checked.build(Thing, content, "thing.json")
    assert made == Thing(
        "x",
        ok=True,
        place=Point(1.0),
        tags=("a", "b"),
        points={"p": Point(0.5, 2.0)},
        rest={"any": [None]},
    )
    assert type(made.place.x) is float


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "expected an object"),
        ({}, "lacks name"),
        ({"name": None}, "name is None, and must be text"),
        ({"name": "x", "count": 1.5}, "count is 1.5, and must be a whole number"),
        ({"name": "x", "count": True}, "count is True"),
        ({"name": "x", "count": 0}, "count must be 1 or more"),
        ({"name": "x", "kind": "c"}, "must be 'a' or 'b'"),
        ({"name": "x", "place": {"x": 1e400}}, "x is inf, and must be a finite number"),
        ({"name": "x", "place": {"x": 10**400}}, "x is 1000"),
        ({"name": "x", "place": [1]}, "must be an object or null"),
        ({"name": "x", "tags": ["a", 1]}, r"tags\[1\] is 1, and must be text"),
        ({"name": "x", "points": {"p": {"z": 1}}}, "keys this version"),
        ({"name": "x", "bad\x1b": 1}, "bad\ufffd"),
    ],
)
def test_what_does_not_fit_is_named(content, said):
    with pytest.raises(UserError, match=said):
        checked.build(Thing, content, "thing.json")


def test_json_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert checked.read_json(path, "list") == [1]


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"", b"9" * 5000, b"[1,]"]
)
def test_what_is_not_json_gets_one_line(content, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="a.json is not a valid list") as caught:
        checked.read_json(path, "list")
    assert str(caught.value).isprintable()


def test_json_has_a_largest_size(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(["x" * 100]))
    with pytest.raises(UserError, match="more than 50 bytes"):
        checked.read_json(path, "list", largest=50)


def test_an_archive_that_unpacks_to_too_much_is_refused_before(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(1 << 20, np.uint8))
    with pytest.raises(UserError, match="unpacks to 1,048,704 bytes; at most "):
        checked.read_npz(path, "file of latents", largest=1000)


def test_a_header_cannot_promise_more_than_the_file_holds(tmp_path):
    path = tmp_path / "a.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(UserError, match="not a readable file of latents"):
        checked.read_npz(path, "file of latents")
    path = tmp_path / "a.npy"
    path.write_bytes(header.getvalue())
    with pytest.raises(UserError, match="not a readable file of latents"):
        checked.read_npy(path, "file of latents")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array("name"),
        np.array(["a", "é"]),
        np.zeros((0, 3), np.float32),
        np.array(3),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_plain_arrays_come_back(array, tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=array)
    np.save(tmp_path / "a.npy", array)
    for read in (
        checked.read_npz(tmp_path / "a.npz", "file")["a"],
        checked.read_npy(tmp_path / "a.npy", "file"),
    ):
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype and read.flags.writeable


@pytest.mark.parametrize("read", [checked.read_npz, checked.read_npy])
def test_pickled_objects_are_refused(read, tmp_path):
    path = tmp_path / "a.npz"
    objects = np.array([print, None], dtype=object)
    if read is checked.read_npz:
        np.savez(path, a=objects)
    else:
        with open(path, "wb") as file:
            np.save(file, objects)
    with pytest.raises(UserError, match="plain"):
        read(path, "file")


def test_spoilt_archives_get_one_line(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.arange(30.0), names=np.array(["a", "b"]))
    assert check_reader(lambda path: checked.read_npz(path, "file"), tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", np.arange(30.0))
    assert check_reader(lambda path: checked.read_npy(path, "file"), tmp_path / "a.npy")


def test_half_letters_are_no_text():
    with pytest.raises(UserError, match="name is .*, and must be text"):
        checked.build(Thing, json.loads('{"name": "a\\ud800"}'), "thing.json")
    assert checked.build(Thing, json.loads('{"name": "\\ud83d\\udc83"}'), "thing.json").name == "💃"
    # A byte of a name that is not UTF-8 stays what it is.
    assert checked.build(Thing, json.loads('{"name": "\\udce7"}'), "thing.json").name == "\udce7"


def test_json_is_no_deeper_than_others_can_walk(tmp_path):
    path = tmp_path / "a.json"
    for depth, fits in ((60, True), (70, False), (500, False), (100_000, False)):
        path.write_text('{"a":' * depth + "[]" + "}" * depth)
        if fits:
            checked.read_json(path, "record")
            continue
        with pytest.raises(UserError, match="nested too deeply"):
            checked.read_json(path, "record")


def test_what_is_hardly_packed_may_be_larger(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(1000))
    assert len(checked.read_npz(path, "file of latents", largest=100)["a"]) == 1000


@pytest.mark.parametrize("shape", [(10**12, 0), (0, 10**12), (-1, 3), (True, 1)])
def test_rows_of_nothing_are_refused(tmp_path, shape):
    path = tmp_path / "a.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": shape}
        )
    with pytest.raises(UserError, match="not a readable file of latents"):
        checked.read_npy(path, "file of latents")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("read", [checked.read_json, checked.read_npz, checked.read_npy])
def test_nothing_but_a_regular_file_is_read(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UserError, match="is not a regular file"):
            read(path, "record")
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path, "record")
    with pytest.raises(UserError, match="cannot be read"):
        read("a\0b", "record")
