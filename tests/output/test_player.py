"""The page that plays dances holds them exactly, is safe, and shows them in a browser."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dancenet.data.motion.camera import rightwards
from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.output.player import LEVELS, side_of, to_html, write_html
from dancenet.support.errors import UserError

EVIL = '</script><script>document.documentElement.dataset.evil = "yes"</script>'
# The nineteen joints of a standing body in metres; l_ is on the side of +x.
STANDING = {
    "pelvis": (0, 0.95, 0),
    "spine": (0, 1.1, 0),
    "chest": (0, 1.3, 0),
    "neck": (0, 1.5, 0),
    "head": (0, 1.65, 0.02),
    "shoulder": (0.18, 1.42, 0),
    "elbow": (0.42, 1.3, 0),
    "wrist": (0.62, 1.45, 0.1),
    "hip": (0.1, 0.9, 0),
    "knee": (0.12, 0.5, 0.05),
    "ankle": (0.13, 0.08, 0),
    "toe": (0.14, 0.02, 0.14),
}


def dance(num_frames=61, fps=30.0, source="a dance"):
    """Returns a body that walks 1 m to +x while its arms and legs swing."""
    rest = np.array(
        [
            np.multiply(STANDING[name.split("_")[-1]], (-1 if name[:2] == "r_" else 1, 1, 1))
            for name in JOINTS
        ]
    )
    time = np.arange(num_frames) / fps
    positions = np.tile(rest, (num_frames, 1, 1))
    positions[..., 0] += np.linspace(0, 1, num_frames)[:, None]
    for joint, name in enumerate(JOINTS):
        if "_" in name:
            swing = 0.3 * np.sin(4 * time + joint) * abs(rest[joint, 1] - 1.1)
            positions[:, joint, 2] += swing
            positions[:, joint, 1] += np.abs(swing)
    return SkeletonClip(
        positions.astype(np.float32), fps, np.ones(num_frames, bool), JOINTS, PARENTS, None, source
    )


def flat(clip):
    return replace(clip, positions=clip.positions[..., :2].copy())


def motion(page):
    """Returns what the page holds, read as its script reads it."""
    (text,) = re.findall(r'<script type="application/json" id="motion">(.*?)</script>', page, re.S)
    return json.loads(text)


def stored(clip):
    """Returns the positions (T, J, C) in what the page holds of a clip."""
    levels = np.frombuffer(base64.b64decode(clip["positions"]), "<u2")
    levels = levels.reshape(clip["frames"], len(clip["joints"]), clip["dims"])
    return clip["lowest"] + np.array(clip["steps"]) * levels


def test_positions_come_back_within_half_of_a_step():
    positions = np.random.default_rng(0).uniform(-5, 5, (50, 19, 3)).astype(np.float32)
    (held,) = motion(to_html(replace(dance(50), positions=positions)))["clips"]
    away = np.abs(stored(held) - positions).max()
    assert away <= 10 / LEVELS / 2 * (1 + 1e-6) < 1e-4  # metres, over 10 m
    assert held["fps"] == 30 and held["frames"] == 50
    assert held["joints"] == list(JOINTS) and held["parents"] == list(PARENTS)


def test_joints_that_never_move_come_back_exactly():
    positions = np.full((3, 19, 3), 0.25, np.float32)
    (held,) = motion(to_html(replace(dance(3), positions=positions)))["clips"]
    assert (stored(held) == 0.25).all()


def test_joints_of_a_picture_are_stored_in_two_dimensions():
    clip = flat(dance())
    (held,) = motion(to_html(clip))["clips"]
    assert held["dims"] == 2
    assert np.abs(stored(held) - clip.positions).max() < 1e-4


def test_a_minute_of_nineteen_joints_is_a_small_page():
    assert len(to_html(dance(60 * 30)).encode()) < 400_000


def test_bones_that_are_not_known_are_found():
    (held,) = motion(to_html(replace(dance(), parents=None)))["clips"]
    assert sorted(held["parents"])[0] == -1 and len(held["parents"]) == 19
    (alone,) = motion(
        to_html(replace(dance(), names=("ball",), positions=dance().positions[:, :1], parents=None))
    )["clips"]
    assert alone["parents"] == [-1] and alone["height"] > 0


def test_the_page_names_no_other_place():
    page = to_html([dance(), flat(dance())])
    assert "http:" not in page and "https:" not in page
    assert not re.search(r"\b(src|href|import|fetch|url)\s*[=(]", page)
    assert "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'" in page


def test_no_name_ends_the_element_that_holds_it():
    names = (EVIL, "<!--", *JOINTS[2:])
    page = to_html(replace(dance(), names=names, source=EVIL), title=EVIL)
    assert EVIL not in page and "<!--" not in page
    assert page.count("</script>") == to_html(dance()).count("</script>")
    assert motion(page)["clips"][0]["joints"][:2] == [EVIL, "<!--"]
    assert f"<title>{html.escape(EVIL)}</title>" in page


def test_text_that_looks_like_a_place_of_the_template_stays_text():
    page = to_html(dance(source="<!-- motion -->"), title="<!-- motion -->")
    assert motion(page)["title"] == "<!-- motion -->"


def test_a_file_is_replaced_only_when_that_is_said(tmp_path):
    path = tmp_path / "dance.html"
    path.write_text("mine")
    with pytest.raises(UserError, match="dance.html exists already"):
        write_html(path, dance())
    assert path.read_text() == "mine"
    write_html(path, dance(), overwrite=True)
    assert path.read_text(encoding="utf-8") == to_html(dance()) == dance().to_html()
    assert [entry.name for entry in tmp_path.iterdir()] == ["dance.html"]


def test_a_page_without_a_clip_is_refused():
    with pytest.raises(ValueError, match="needs a clip"):
        to_html([])


def test_a_notebook_plays_the_page_apart_from_its_own_scripts():
    frame = dance(source='a "dance"')._repr_html_()
    assert frame.startswith('<iframe sandbox="allow-scripts"')
    (inside,) = re.findall(r'srcdoc="([^"]*)"', frame)
    assert html.unescape(inside) == to_html(dance(source='a "dance"'))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("l_wrist", "l"),
        ("r_toe", "r"),
        ("LeftArm", "l"),
        ("mixamorig:RightFoot", "r"),
        ("lfemur", "l"),
        ("head", ""),
        ("lHand", "l"),
        ("hand.R", "r"),
        ("leg", ""),
        ("root", ""),
        ("right_eye", "r"),
        ("lowerback", ""),
        ("rhand", "r"),
        ("upright", ""),
        ("Arm_LEFT", "l"),
        ("CC_Base_R_Eye", "r"),
        ("LeftHand/end", "l"),
    ],
)
def test_the_side_of_a_joint_is_in_its_name(name, side):
    assert side_of(name) == side


def test_chest_pelvis_and_head_are_told_by_names_of_any_program():
    limbs = {
        "Hip": "",
        "Waist": "Hip",
        "L_Thigh": "Hip",
        "R_Thigh": "Hip",
        "L_Calf": "L_Thigh",
        "R_Calf": "R_Thigh",
        "L_Clavicle": "Waist",
        "R_Clavicle": "Waist",
        "L_Upperarm": "L_Clavicle",
        "R_Upperarm": "R_Clavicle",
        "Neck": "Waist",
        "Head": "Neck",
        "L_Eye": "Head",
        "R_Eye": "Head",
    }
    joints = list(limbs)
    names = tuple(f"CC_Base_{name}" for name in joints)
    parents = tuple(joints.index(above) if above else -1 for above in limbs.values())
    clip = replace(
        dance(), names=names, parents=parents, positions=dance().positions[:, : len(names)]
    )
    (held,) = motion(to_html(clip))["clips"]
    plates = [{joints[joint] for joint in plate} for plate in held["plates"]]
    assert plates == [
        {"Hip", "Waist", "L_Thigh", "R_Thigh"},
        {"Waist", "L_Upperarm", "R_Upperarm", "Neck", "Hip"},
    ]
    assert [joints[joint] for joint in held["head"]] == ["Head", "L_Eye", "R_Eye"]
    radii = dict(zip(joints, held["radii"]))
    assert radii["L_Thigh"] == radii["R_Thigh"] > radii["L_Calf"] > radii["Neck"] > 0


# ---- In a browser ----


@pytest.fixture
def picture(chromium, tmp_path):
    """Returns a function that opens a page and returns what is seen, (480, 640, 3) BGR."""

    def take(page, fragment="", *flags):
        path = tmp_path / "seen.png"
        path.unlink(missing_ok=True)
        chromium(page, fragment, *flags, f"--screenshot={path}")
        return cv2.imread(str(path))

    return take


def coloured(picture):
    """Returns how many pixels of the stage have the colours of left and of right limbs."""
    hue, saturation, _ = np.moveaxis(cv2.cvtColor(picture[60:420], cv2.COLOR_BGR2HSV), 2, 0)
    vivid = saturation > 110
    return int((vivid & (80 < hue) & (hue < 95)).sum()), int((vivid & (hue < 15)).sum())


def changed(one, other):
    """Returns how many pixels of the stage differ clearly."""
    return int((cv2.absdiff(one, other)[60:420].max(axis=2) > 40).sum())


def with_script(clips, script):
    """Returns a page in which a script runs after the player's."""
    return to_html(clips).replace("</body>", f"<script>{script}</script></body>")


def test_a_fragment_sets_the_time_and_the_side(state):
    said = state(to_html(dance()), "t=1.5&yaw=90&paused")
    assert said == {"errors": "0", "time": "1.500", "yaw": "90.0"}


def test_a_dance_plays_and_begins_again_unless_motion_is_to_be_reduced(state):
    # A headless browser paints when it likes; its timers keep to the two seconds it is given.
    steady = (
        "<body><script>requestAnimationFrame = (step) => "
        "setTimeout(() => step(performance.now()), 20)</script>"
    )

    def ends(clip, *flags, speed=1):
        page = to_html(clip).replace("<body>", steady)
        page = page.replace(" selected>", ">").replace(f'="{speed}">', f'="{speed}" selected>')
        said = state(page, "t=0.5", *flags)
        assert said["errors"] == "0"
        return float(said["time"])

    at_once, doubled = ends(dance(301)), ends(dance(301), speed=2)
    assert at_once > 1.5 and doubled == pytest.approx(2 * at_once - 0.5, abs=0.5)
    assert 0 <= ends(dance(16)) <= 0.5
    assert ends(dance(301), "--force-prefers-reduced-motion") == 0.5


def test_limbs_are_seen_in_the_colours_of_their_sides(picture):
    left, right = coloured(picture(to_html(dance()), "t=0.5&yaw=0&paused"))
    assert left > 1000 and right > 1000
    unnamed = replace(dance(), names=tuple(f"joint_{i}" for i in range(19)))
    assert coloured(picture(to_html(unnamed), "t=0.5&yaw=0&paused")) == (0, 0)


def test_the_picture_changes_with_the_time_and_with_the_side(picture):
    page = to_html(dance())
    seen = picture(page, "t=0.5&yaw=0&paused")
    assert changed(seen, picture(page, "t=0.5&yaw=0&paused")) == 0
    assert changed(seen, picture(page, "t=0.9&yaw=0&paused")) > 1000
    assert changed(seen, picture(page, "t=0.5&yaw=90&paused")) > 1000


def test_the_left_hand_is_seen_on_the_right_from_the_front_and_on_the_left_from_behind(picture):
    def middle(seen):
        hue, saturation, _ = np.moveaxis(cv2.cvtColor(seen[60:420], cv2.COLOR_BGR2HSV), 2, 0)
        return np.nonzero((saturation > 110) & (80 < hue) & (hue < 95))[1].mean()

    page = to_html(dance())
    assert middle(picture(page, "yaw=0&paused")) > middle(picture(page, "yaw=180&paused")) + 30


def test_joints_of_a_picture_are_shown_from_their_side_only(picture, state):
    page = to_html(flat(dance()))
    seen = picture(page, "t=0.5&paused")
    assert min(coloured(seen)) > 1000
    assert changed(seen, picture(page, "t=0.5&yaw=90&paused")) == 0
    assert state(page, "t=0.5&yaw=90&paused") == {"errors": "0", "time": "0.500", "yaw": "0.0"}


def test_one_of_several_dances_can_be_chosen(picture, state):
    page = to_html([dance(), flat(dance(31))])
    assert changed(picture(page, "paused"), picture(page, "clip=1&paused")) > 1000
    assert state(page, "clip=1&t=5&paused")["time"] == "1.000"  # the end of the second
    chosen = with_script(
        [dance(), dance(16)],
        "$('clip').value = '1'; $('clip').dispatchEvent(new Event('change')); seek(5); draw();",
    )
    assert state(chosen, "paused")["time"] == "0.500"


def test_places_between_frames_are_those_of_the_splines(state):
    clip = dance(31, fps=15.0)
    # Every third frame of this rate lies at two thirds, at one third or on a recorded one.
    times, expected = np.arange(19) / 10, clip.resample(10.0).positions[:19]
    page = with_script(
        clip,
        "root.dataset.pose = JSON.stringify("
        f"{times.tolist()}.map((t) => {{ time = t; pose(); return [...clip.now]; }}));",
    )
    said = state(page, "paused")
    assert said["errors"] == "0"
    shown = np.array(json.loads(said["pose"])).reshape(expected.shape)
    assert np.abs(shown - expected).max() < 1e-4


@pytest.mark.parametrize("yaw", [0, 35, 90, 200])
def test_the_camera_stands_where_that_of_the_videos_does(state, yaw):
    page = with_script(
        dance(),
        "const camera = look(pose());"
        "const [x, y, z] = camera.target, at = (dx, dz) => project(camera, x + dx, y, z + dz).x;"
        "root.dataset.right = JSON.stringify([at(.001, 0) - width / 2, at(0, .001) - width / 2]"
        ".map((pixels) => pixels / camera.focus * camera.away / .001));",
    ).replace("pitch: 12", "pitch: 1")
    said = state(page, f"yaw={yaw}&paused")
    assert said["errors"] == "0"
    right = rightwards(yaw, False)
    assert json.loads(said["right"]) == pytest.approx([right[0], right[2]], abs=2e-3)


def test_mouse_wheel_and_keys_turn_zoom_and_stop(state):
    script = """
      stage.setPointerCapture = () => {};
      const point = (name, x, y) => stage.dispatchEvent(new PointerEvent(name,
        { pointerId: 1, clientX: x, clientY: y }));
      const key = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown",
        { key, bubbles: true }));
      const seen = [];
      const note = () => seen.push([view.yaw, view.pitch, view.zoom, playing]);
      view = { yaw: 90, pitch: 12, zoom: 1 };
      point("pointerdown", 200, 200); point("pointermove", 100, 220); point("pointerup", 100, 220);
      point("pointermove", 0, 0); note();
      key("ArrowRight"); key("ArrowUp"); note();
      stage.dispatchEvent(new WheelEvent("wheel", { deltaY: -100 })); note();
      key(" "); note(); key("0"); note();
      root.dataset.seen = JSON.stringify(seen);
    """
    said = state(with_script(dance(), script), "paused")
    assert said["errors"] == "0"
    drag, keys, wheel, space, reset = json.loads(said["seen"])
    assert drag == pytest.approx([130, 18, 1, False])
    assert keys == pytest.approx([135, 22, 1, False])
    assert wheel[2] > 1.05 and not wheel[3]
    assert space[3]
    assert reset == pytest.approx([25, 12, 1, True])


def test_a_name_does_not_run(state):
    names = (EVIL, "<img src=x onerror=document.documentElement.dataset.evil=1>", *JOINTS[2:])
    clip = replace(dance(), names=names, source=EVIL)
    said = state(to_html([clip, clip], title=EVIL), "t=1&yaw=0&paused")
    assert said == {"errors": "0", "time": "1.000", "yaw": "0.0"}


def test_the_page_loads_nothing_and_counts_what_goes_wrong(state, tmp_path):
    cv2.imwrite(str(tmp_path / "other.png"), np.zeros((8, 8, 3), np.uint8))
    page = to_html(dance()).replace("</body>", '<img src="other.png"></body>')
    said = state(page, "paused")
    assert said["errors"] != "0" and "img-src" in said["error"]
    assert "lost" in state(with_script(dance(), "lost()"), "paused")["error"]


@pytest.mark.parametrize(
    "clip",
    [
        dance(1),
        replace(dance(), parents=None),
        replace(dance(), fps=0.5),
        replace(dance(), names=("ball",), positions=dance().positions[:, :1], parents=None),
    ],
    ids=["one frame", "no bones", "slow", "one joint"],
)
def test_every_motion_is_shown(picture, state, clip):
    page = to_html(clip)
    assert state(page, "t=0.5&yaw=10&paused")["errors"] == "0"
    without = picture(with_script(clip, "drawFigure = () => {}; draw();"), "paused")
    assert changed(without, picture(page, "paused")) > 100


def test_a_notebook_shows_the_dance(picture):
    seen = picture(f"<body>{dance()._repr_html_()}</body>")
    assert min(coloured(seen)) > 500
