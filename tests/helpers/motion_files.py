"""Small motion capture files, written by the tests that read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dancenet.data.motion.joints import JOINTS

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "mocap"

# A standing body with its arms spread, centimetres: name, parent, offset. LANDMARKS names the
# joint of BODY for each of our nineteen.
BODY = (
    ("Hips", "", (0, 0, 0)),
    ("Spine", "Hips", (0, 10, 0)),
    ("Spine1", "Spine", (0, 12, 0)),
    ("Spine2", "Spine1", (0, 13, 0)),
    ("Neck", "Spine2", (0, 20, 0)),
    ("Head", "Neck", (0, 10, 2)),
    ("LeftShoulder", "Spine2", (5, 15, 0)),
    ("LeftArm", "LeftShoulder", (12, 0, 0)),
    ("LeftForeArm", "LeftArm", (28, 0, 0)),
    ("LeftHand", "LeftForeArm", (26, 0, 0)),
    ("RightShoulder", "Spine2", (-5, 15, 0)),
    ("RightArm", "RightShoulder", (-12, 0, 0)),
    ("RightForeArm", "RightArm", (-28, 0, 0)),
    ("RightHand", "RightForeArm", (-26, 0, 0)),
    ("LeftUpLeg", "Hips", (9, -3, 0)),
    ("LeftLeg", "LeftUpLeg", (0, -42, 0)),
    ("LeftFoot", "LeftLeg", (0, -42, 0)),
    ("LeftToeBase", "LeftFoot", (0, -7, 14)),
    ("RightUpLeg", "Hips", (-9, -3, 0)),
    ("RightLeg", "RightUpLeg", (0, -42, 0)),
    ("RightFoot", "RightLeg", (0, -42, 0)),
    ("RightToeBase", "RightFoot", (0, -7, 14)),
)
HIPS_HEIGHT = 94.0  # centimetres above the toes

LANDMARKS = {
    "pelvis": "Hips",
    "spine": "Spine1",
    "chest": "Spine2",
    "neck": "Neck",
    "head": "Head",
    "l_shoulder": "LeftArm",
    "l_elbow": "LeftForeArm",
    "l_wrist": "LeftHand",
    "r_shoulder": "RightArm",
    "r_elbow": "RightForeArm",
    "r_wrist": "RightHand",
    "l_hip": "LeftUpLeg",
    "l_knee": "LeftLeg",
    "l_ankle": "LeftFoot",
    "l_toe": "LeftToeBase",
    "r_hip": "RightUpLeg",
    "r_knee": "RightLeg",
    "r_ankle": "RightFoot",
    "r_toe": "RightToeBase",
}


def standing() -> dict[str, np.ndarray]:
    """Returns where the joints of BODY are when none is turned, centimetres from the hips."""
    places: dict[str, np.ndarray] = {}
    for name, parent, offset in BODY:
        places[name] = places.get(parent, np.zeros(3)) + offset
    return places


def standing_joints(num_frames: int = 1) -> np.ndarray:
    """Returns BODY's nineteen joints with the toes on the floor, (T, 19, 3) metres."""
    places = standing()
    places["Head"] = places["Head"] + [0, 0, 2.5]  # its End Site is 5 cm before it
    one = (np.array([places[LANDMARKS[joint]] for joint in JOINTS]) + [0, HIPS_HEIGHT, 0]) / 100
    return np.tile(one, (num_frames, 1, 1))


def bvh_text(
    values: np.ndarray,
    *,
    body: tuple = BODY,
    root_offset: tuple = (0, 0, 0),
    rename: dict[str, str] | None = None,
    frame_time: str = "0.0333333",
    scale: float = 1.0,
) -> str:
    """Writes BODY with six channels for its root and "Zrotation Xrotation Yrotation" elsewhere.

    Args:
        values: (T, 6 + 3 * the other joints).
        body: other joints than BODY.
        root_offset: OFFSET of the root.
        rename: other names for joints.
        frame_time: as it is to stand in the file.
        scale: multiplies all offsets but the root's.
    """
    lines = ["HIERARCHY"]

    def write(joint: int, depth: int) -> None:
        name, parent, offset = body[joint]
        if not parent:
            offset = root_offset
        tab = "\t" * depth
        moves = "6 Xposition Yposition Zposition" if not parent else "3"
        lines.append(f"{tab}{'JOINT' if parent else 'ROOT'} {(rename or {}).get(name, name)}")
        lines.append(f"{tab}{{")
        scaled = [number * (scale if parent else 1) for number in offset]
        lines.append(f"{tab}\tOFFSET {scaled[0]:g} {scaled[1]:g} {scaled[2]:g}")
        lines.append(f"{tab}\tCHANNELS {moves} Zrotation Xrotation Yrotation")
        children = [k for k, (_, above, _) in enumerate(body) if above == name]
        for child in children:
            write(child, depth + 1)
        if not children:
            lines.extend(f"{tab}\t{line}" for line in ("End Site", "{", "OFFSET 0 0 5", "}"))
        lines.append(f"{tab}}}")

    write(0, 0)
    lines += ["MOTION", f"Frames: {len(values)}", f"Frame Time: {frame_time}"]
    lines += [" ".join(f"{value:.6g}" for value in row) for row in values]
    return "\n".join(lines) + "\n"


def still(num_frames: int, body: tuple = BODY) -> np.ndarray:
    """Returns channel values of a body that stands still with its toes on the floor."""
    values = np.zeros((num_frames, 6 + 3 * (len(body) - 1)))
    values[:, 1] = HIPS_HEIGHT
    return values


def shared(relative: str) -> Path:
    """Returns a real recording, or skips the test where there are none."""
    path = RECORDINGS / relative
    if not path.exists():
        pytest.skip(f"needs the recording {relative}, which is not published with the project")
    return path


def dancing(num_frames: int, fps: float = 30.0) -> np.ndarray:
    """Returns channel values of BODY that walks a circle, turning twice, and moves all joints."""
    values = still(num_frames)
    time = np.arange(num_frames) / fps
    circle = 2 * np.pi * time / 6
    values[:, 0], values[:, 2] = 150 * np.sin(circle), 150 * np.cos(circle)
    values[:, 1] += 4 * np.sin(2 * np.pi * time)
    values[:, 3], values[:, 4] = 8 * np.sin(circle * 3), 6 * np.cos(circle * 5)
    values[:, 5] = np.rad2deg(circle) * 2
    rng = np.random.default_rng(0)
    count = values.shape[1] - 6
    phase, size = rng.uniform(0, 2 * np.pi, count), rng.uniform(5, 25, count)
    values[:, 6:] = size * np.sin(2 * np.pi * 0.5 * time[:, None] + phase)
    return values


ASF = """# made by hand
:version 1.10
:name VICON
:units
  mass 1.0
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name thigh
     direction 0 -2 0
     length 8
     axis 0 0 0 XYZ
    dof rx rz
    limits (-160.0 20.0)
           (-70.0 70.0)
  end
  begin
     id 2
     name shin
     direction 0 -1 0
     length 7
     axis 0 0 90 XYZ
    dof rx
  end
  begin
     id 3
     name foot
     direction 0 0 1
     length 2
     axis 90 0 90 XYZ
  end
:hierarchy
  begin
    thigh shin
    root thigh
    shin foot
  end
"""
AMC = """#!OML:ASF
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 0 0
thigh 0 0
shin 0
2
root 0 0 0 0 0 90
thigh 90 0
shin 0
3
root 0 0 0 0 0 0
thigh 90 90
shin 90
"""
