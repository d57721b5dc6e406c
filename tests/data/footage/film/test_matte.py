"""A transparency that shows the dancer is the silhouette, whatever the colours are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from films import cut_outs, timed_film
from PIL import Image

from dancenet.data.footage.choose import Settings
from dancenet.data.footage.extract import extract
from dancenet.data.footage.film.matte import shows_dancer
from dancenet.data.footage.methods import overlap, reduce_canvas
from dancenet.data.footage.video import open_footage
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.frames.writer import FrameWriter
from dancenet.support.errors import UserError

COUNT = 20
TIMES = [k / 25 for k in range(COUNT)]


def no_network():
    raise UserError("there is no network")


def run(tmp_path, source, **settings):
    writer = FrameWriter(tmp_path / "imgs")
    report = extract(open_footage(source, fps=25), writer, Settings(**settings), no_network)
    folder = FrameFolder.open(tmp_path / "imgs")
    return report, folder.read(1, folder.num_frames) == 0


def expected():
    """The silhouettes of the whole picture, letterboxed."""
    from dancenet.data.footage.crop import letterbox_view

    view = letterbox_view(128, 120)
    mattes = [view.cut(picture[..., 3].astype(np.float32) / 255) for picture in cut_outs(COUNT)]
    inside = view.inside((120, 128))
    return [reduce_canvas(np.where(inside, matte, 0).astype(np.float32)) == 0 for matte in mattes]


def check(source):
    """Checks what the methods are given; one extraction of each kind of footage follows."""
    footage = open_footage(source, fps=25)
    assert footage.has_matte
    shown = list(footage.as_matte().frames())
    assert len(shown) == COUNT
    for picture, given in zip(shown, cut_outs(COUNT)):
        assert np.abs(picture[..., 0] - (255.0 - given[..., 3])).mean() < 4


def check_extraction(tmp_path, source):
    report, found = run(tmp_path, source, fit="letterbox")
    assert report.clips[0].clip.method == "matte" and "transparency" in report.reasons[0]
    assert len(found) == COUNT
    assert np.mean([overlap(a, b) for a, b in zip(found, expected())]) > 0.9


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mov", "qtrle", "argb"),
        ("a.mov", "png", "rgba"),
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("a.mkv", "ffv1", "yuva420p"),
        ("a.apng", "apng", "rgba"),
        ("a.webm", "libvpx", "yuva420p"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
    ],
)
def test_a_black_dancer_cut_out_of_black_is_found_in_any_film(tmp_path, name, codec, pixels):
    path = timed_film(tmp_path / name, TIMES, codec, pixels, cut_outs(COUNT))
    check(path)


def test_a_film_and_a_folder_of_cut_outs_give_the_silhouettes_themselves(tmp_path):
    path = timed_film(tmp_path / "a.mov", TIMES, "qtrle", "argb", cut_outs(COUNT))
    (tmp_path / "film").mkdir()
    check_extraction(tmp_path / "film", path)
    (tmp_path / "folder").mkdir()
    check_extraction(tmp_path / "folder", write_folder(tmp_path / "f", FORMS["rgba"]))


def write_folder(folder, write):
    folder.mkdir()
    for number, picture in enumerate(cut_outs(COUNT), 1):
        write(folder / f"{number}", picture)
    return folder


FORMS = {
    "rgba": lambda path, p: Image.fromarray(p).save(f"{path}.png"),
    "webp": lambda path, p: Image.fromarray(p).save(f"{path}.webp", lossless=True),
    "tiff": lambda path, p: Image.fromarray(p).save(f"{path}.tif"),
    "grey and alpha": lambda path, p: Image.fromarray(p).convert("LA").save(f"{path}.png"),
    "palette": lambda path, p: (
        Image.fromarray(255 - p[..., 3]).convert("P").save(f"{path}.png", transparency=255)
    ),
    "key colour": lambda path, p: Image.fromarray(255 - p[..., [3, 3, 3]]).save(
        f"{path}.png", transparency=(255, 255, 255)
    ),
    "16 bits": lambda path, p: cv2.imwrite(f"{path}.png", p.astype(np.uint16) * 257),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_black_dancer_cut_out_of_black_is_found_in_any_folder(tmp_path, form):
    check(write_folder(tmp_path / "f", FORMS[form]))


def test_the_transparency_is_taken_whatever_the_method_and_it_is_said(tmp_path):
    path = timed_film(tmp_path / "a.mov", TIMES, "qtrle", "argb", cut_outs(COUNT))
    report, _ = run(tmp_path, path, method="threshold")
    assert report.clips[0].clip.method == "matte"
    assert any("is taken in place of method='threshold'" in fact for fact in report.facts)


@pytest.mark.parametrize("alpha", [255, 0])
def test_a_transparency_that_is_everywhere_the_same_is_ignored(tmp_path, alpha):
    pictures = cut_outs(COUNT, (255, 255, 255))
    for picture in pictures:
        picture[picture[..., 3] > 0, :3] = 0
        picture[..., 3] = alpha
    report, found = run(tmp_path, timed_film(tmp_path / "a.mov", TIMES, "qtrle", "argb", pictures))
    assert report.clips[0].clip.method == "threshold" and len(found) == COUNT


def test_a_cut_out_that_begins_later_counts_and_a_window_does_not():
    mattes = [picture[..., 3] for picture in cut_outs(5)]
    opaque = np.full((120, 128), 255, np.uint8)
    window = np.zeros((120, 128), np.uint8)
    window[6:-6, 6:-6] = 255
    assert shows_dancer([opaque] * 40 + mattes)
    assert not shows_dancer([opaque] * 40 + mattes[:1])
    assert not shows_dancer([window] * 40)
    y, x = np.mgrid[:120, :128]
    bubble = np.where(np.hypot(x - 64, y - 60) < 55, 255, 0).astype(np.uint8)
    assert not shows_dancer([bubble] * 40)
    assert not shows_dancer([mattes[0]] * 40)
    assert not shows_dancer([])
