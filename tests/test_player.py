"""The page that plays dances of joints: what stands in it, and what a browser makes of it."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dancenet.data.motion import JOINTS, PARENTS
from dancenet.data.player import to_html, write_html
from dancenet.data.skeleton_clip import SkeletonClip
from dancenet.errors import UserError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def make_clip(num_frames=90, width=2.0, **changes) -> SkeletonClip:
    """Returns a stick of nineteen joints, 1.7 m tall, that sways and waves its arms."""
    time = np.arange(num_frames) / 30
    positions = np.zeros((num_frames, 19, 3), np.float32)
    positions[..., 1] = np.linspace(0.05, 1.75, 19)
    positions[..., 0] = 0.15 * np.sin(np.arange(19)) + width / 2 * np.sin(time)[:, None]
    positions[..., 2] = 0.4 * np.cos(np.arange(19))
    positions[:, 6:11, 1] += 0.5 * np.sin(2 * time)[:, None]
    values = {
        "positions": positions, "fps": 30.0, "ok": np.ones(num_frames, bool), "names": JOINTS,
        "parents": PARENTS, "offsets": None, "source": "a sway", **changes,
    }
    return SkeletonClip(**values)


def packed(page: str) -> list[dict]:
    text = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert text is not None
    return json.loads(text[1])


def unpacked(dance: dict) -> np.ndarray:
    numbers = np.frombuffer(base64.b64decode(dance["positions"]), "<u2")
    shape = (dance["frames"], dance["joints"], dance["axes"])
    return numbers.reshape(shape) * np.array(dance["step"]) + np.array(dance["low"])


@pytest.mark.parametrize("width", [0.5, 10.0])
def test_places_come_back_to_a_tenth_of_a_millimetre_on_ten_metres(width):
    clip = make_clip(width=width)
    (dance,) = packed(to_html(clip))
    assert dance["fps"] == 30.0
    # Half a step of 65,535 on each axis.
    assert np.abs(unpacked(dance) - clip.positions).max() < 8e-5


def test_a_minute_of_nineteen_joints_takes_less_than_400_kb():
    assert len(to_html(make_clip(1800))) < 400_000


def test_a_motion_that_does_not_move_along_an_axis_comes_back_too():
    clip = make_clip()
    still = replace(clip, positions=clip.positions * np.float32([1, 1, 0]))
    assert np.abs(unpacked(packed(to_html(still))[0]) - still.positions).max() < 8e-5


def test_the_page_needs_nothing_from_elsewhere():
    page = to_html(make_clip())
    words = page.replace(packed(page)[0]["positions"], "")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", words)
    assert "default-src 'none'" in page


def test_names_cannot_run_as_code():
    wicked = "</script><script>alert(1)</script>"
    names = (wicked, *JOINTS[1:])
    page = to_html(make_clip(names=names, source=wicked), title=f"{wicked}TITLE DATA")
    assert wicked not in page
    assert len(re.findall("<script", page)) == 2
    assert packed(page)[0]["title"] == wicked


def test_sides_heads_and_trunks_are_told_by_their_names():
    (dance,) = packed(to_html(make_clip()))
    sides = {JOINTS[joint]: side for joint, _, side in dance["bones"]}
    assert sides["l_wrist"] == 1 and sides["r_toe"] == 2 and sides["neck"] == 0
    assert dance["head"] == JOINTS.index("head") and len(dance["trunk"]) == 4
    other = tuple(f"mixamorig:Left{i}" if i % 2 else f"rFoot{i}" for i in range(19))
    (dance,) = packed(to_html(make_clip(names=other)))
    assert {joint: side for joint, _, side in dance["bones"]}[2] == 2
    assert dance["trunk"] == [] and dance["head"] == -1


def test_bones_that_are_not_known_are_inferred():
    (dance,) = packed(to_html(make_clip(parents=None)))
    assert len(dance["bones"]) == 18


def test_several_dances_are_one_page():
    page = to_html([make_clip(source="one"), make_clip(60, source="two")])
    assert [dance["title"] for dance in packed(page)] == ["one", "two"]
    with pytest.raises(ValueError, match="one clip at least"):
        to_html([])


def test_a_notebook_gets_a_frame_that_cannot_reach_the_notebook():
    clip = make_clip()
    shown = clip._repr_html_()
    assert 'sandbox="allow-scripts"' in shown and "allow-same-origin" not in shown
    source = re.search(r'srcdoc="([^"]*)"', shown)
    assert source is not None and html.unescape(source[1]) == clip.to_html()


def test_a_page_of_a_person_is_not_replaced_unasked(tmp_path):
    path = tmp_path / "mine.html"
    path.write_text("precious")
    with pytest.raises(UserError, match="--overwrite"):
        write_html(path, make_clip())
    assert path.read_text() == "precious"
    write_html(path, make_clip(), overwrite=True)
    assert packed(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def browser() -> str:
    """A Chromium, of the name in DANCENET_CHROMIUM or of one of its usual names."""
    usual = filter(None, map(shutil.which, BROWSERS))
    found = os.environ.get("DANCENET_CHROMIUM") or next(usual, None)
    if found is None:
        pytest.skip("needs Chromium (on Debian and Ubuntu: apt install chromium)")
    return found


class Browser:
    def __init__(self, path: str, folder: Path, page: str) -> None:
        self._path, self._folder = path, folder
        (folder / "page.html").write_text(page, encoding="utf-8")

    def _run(self, fragment: str, *flags: str) -> str:
        return subprocess.run(
            [
                self._path, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--window-size=640,480", "--virtual-time-budget=1500",
                f"--user-data-dir={self._folder / 'profile'}", *flags,
                f"file://{self._folder / 'page.html'}#{fragment}",
            ],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout

    def state(self, fragment: str) -> dict[str, str]:
        """Returns what the page says of itself after a moment."""
        (head,) = re.findall("<html[^>]*>", self._run(fragment, "--dump-dom"))
        return dict(re.findall(r'data-(\w+)="([^"]*)"', head))

    def picture(self, fragment: str) -> np.ndarray:
        """Returns (H, W, 3) uint8, the stage without the bar."""
        path = self._folder / "shot.png"
        self._run(fragment, f"--screenshot={path}")
        return cv2.imread(str(path))[:400]


def coloured(picture: np.ndarray) -> int:
    """Returns how many pixels are of a limb: a strong colour."""
    return int((np.ptp(picture.astype(int), axis=2) > 60).sum())


def test_a_browser_plays_it_without_an_error_from_any_side(browser, tmp_path):
    page = Browser(browser, tmp_path, to_html(make_clip()))
    assert page.state("t=0.5&yaw=90&paused") == {"errors": "0", "time": "0.500", "yaw": "90.0"}
    moments = {
        fragment: page.picture(fragment)
        for fragment in ("t=0&paused", "t=1.5&paused", "t=0&yaw=90&paused")
    }
    assert all(coloured(picture) > 1000 for picture in moments.values())
    first, later, side = (picture.astype(int) for picture in moments.values())
    assert (np.abs(first - later).max(axis=2) > 60).sum() > 300
    assert (np.abs(first - side).max(axis=2) > 60).sum() > 300


def test_a_browser_lets_time_pass_unless_it_is_paused(browser, tmp_path):
    page = Browser(browser, tmp_path, to_html(make_clip(900)))
    assert float(page.state("t=1")["time"]) > 1.0
    assert page.state("t=1&paused")["time"] == "1.000"


def test_a_browser_shows_joints_of_a_picture_and_skeletons_without_names(browser, tmp_path):
    clip = make_clip()
    flat = replace(clip, positions=clip.positions[..., :2].copy())
    page = Browser(browser, tmp_path, to_html([flat, clip]))
    assert page.state("t=1&paused")["errors"] == "0"
    assert coloured(page.picture("t=1&paused")) > 1000
    names = tuple(f"joint {i}" for i in range(19))
    page = Browser(browser, tmp_path, to_html(make_clip(names=names, parents=None)))
    assert page.state("t=1&paused")["errors"] == "0"
    assert (page.picture("t=1&paused").min(axis=2) < 100).sum() > 1000
