"""Spoilt files of motion end in a motion or in one sentence, whatever was done to them."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from motion_files import AMC, ASF, bvh_text, dancing, standing_joints
from mutation import check_reader

from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion.joints import JOINTS, PARENTS

LEG = """HIERARCHY
ROOT hips
{
 OFFSET 0 90 0
 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
 JOINT 左足
 {
  OFFSET 9 -40 0
  CHANNELS 3 Zrotation Xrotation Yrotation
  End Site
  {
   OFFSET 0 -40 5
  }
 }
 JOINT right.leg
 {
  OFFSET -9 -40 0
  CHANNELS 3 Zrotation Xrotation Yrotation
  End Site
  {
   OFFSET 0 -40 5
  }
 }
}
MOTION
Frames: 6
Frame Time: 0.033333
""" + "".join(f"{t} 90.5 0 0 0 {t} 1 {5 * t} 2 0 {-4 * t} 0\n" for t in range(6))
POINTS = [[x, y, 0.9] for x, y in zip(range(100, 185, 5), range(60, 400, 20))]
FLAT = [value for point in POINTS for value in point]
OPENPOSE = [
    {"people": [{"pose_keypoints_2d": FLAT}], "canvas_width": 640, "canvas_height": 480},
    {"people": []},
    {"people": [{"pose_keypoints_2d": FLAT}, {"pose_keypoints_2d": FLAT}]},
]
JSON = {
    "own": {
        "fps": 30,
        "names": [f"p{joint}" for joint in range(17)],
        "parents": list(range(-1, 16)),
        "up": "-y",
        "keypoints": [POINTS, None, POINTS, [None, *POINTS[1:]]],
    },
    "openpose": OPENPOSE,
    "coco": [{"image_id": f"take_{n:04d}_720p.jpg", "keypoints": FLAT} for n in range(3)],
    "annotations": {
        "images": [{"id": 7, "file_name": "1.jpg", "width": 640, "height": 480}],
        "annotations": [{"image_id": 7, "keypoints": FLAT}],
        "categories": [{"keypoints": [f"p{joint}" for joint in range(17)]}],
    },
    "mmpose": {
        "instance_info": [
            {
                "frame_id": n,
                "instances": [
                    {
                        "keypoints": [point[:2] for point in POINTS],
                        "keypoint_scores": [0.9] * 17,
                    }
                ],
            }
            for n in range(1, 3)
        ]
    },
    "mediapipe": [
        {"landmarks": [{"x": 0.1, "y": n / 40, "z": 0, "visibility": 1} for n in range(33)]}
    ],
}


@pytest.mark.parametrize("encoding", ["utf-8", "cp932", "utf-16"])
def test_bvh(tmp_path, encoding):
    path = tmp_path / "a.bvh"
    path.write_bytes(LEG.encode(encoding))
    assert check_reader(read_skeleton, path, seed=1)


def test_a_whole_body_in_bvh(tmp_path):
    path = tmp_path / "a.bvh"
    path.write_text(bvh_text(dancing(12)))
    assert check_reader(read_skeleton, path, seed=2)


def test_packed_bvh(tmp_path):
    path = tmp_path / "a.bvh.gz"
    path.write_bytes(gzip.compress(LEG.encode(), mtime=0))
    assert check_reader(read_skeleton, path, seed=3)


def test_amc_and_asf(tmp_path):
    (tmp_path / "a.asf").write_text(ASF)
    (tmp_path / "a.amc").write_text(AMC)
    assert check_reader(read_skeleton, tmp_path / "a.amc", seed=4)
    assert check_reader(
        lambda path: read_skeleton(path.with_suffix(".amc")), tmp_path / "a.asf", seed=5
    )


@pytest.mark.parametrize("kind", JSON)
def test_keypoints(tmp_path, kind):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(JSON[kind], indent=1))
    assert check_reader(read_skeleton, path, seed=6)


def test_a_folder_of_keypoints(tmp_path):
    folder = tmp_path / "film"
    folder.mkdir()
    for number, frame in enumerate(OPENPOSE):
        (folder / f"{number:012}_keypoints.json").write_text(json.dumps(frame))
    last = folder / f"{2:012}_keypoints.json"
    assert check_reader(lambda path: read_skeleton(path.parent), last, seed=7)


def test_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(
        path,
        pos=standing_joints(4).astype(np.float32),
        fps=30.0,
        joints=np.array(JOINTS),
        parents=np.array(PARENTS),
        ok=np.ones(4, bool),
    )
    assert check_reader(read_skeleton, path, seed=8)


def test_npy(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, standing_joints(4).astype(np.float32))
    assert check_reader(read_skeleton, path, seed=9)
