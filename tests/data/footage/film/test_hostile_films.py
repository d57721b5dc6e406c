"""Damaged and hostile films are refused in one sentence, or read as far as they go."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from films import sway, timed_film
from mutation import MANY, check_reader

from dancenet.data.footage.film import opening
from dancenet.data.footage.film.opening import opened
from dancenet.data.footage.video import open_footage
from dancenet.support.errors import UserError, explain

FEW = max(20, MANY * 3 // 10)


def read_a_little(path):
    footage = open_footage(path)
    pictures = list(itertools.islice(footage.frames(64), 3))
    assert all(picture.shape[2] == 3 for picture in pictures)
    footage.loss(len(pictures))


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "mpeg4", "yuv420p"),
        ("a.mov", "qtrle", "argb"),
        ("a.gif", "gif", "rgb8"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.ts", "mpeg4", "yuv420p"),
    ],
)
def test_spoilt_films_give_pictures_or_a_sentence(tmp_path, name, codec, pixels):
    path = timed_film(tmp_path / name, [k / 25 for k in range(6)], codec, pixels)
    assert check_reader(read_a_little, path, seed=3, count=FEW) > 0


def test_a_header_that_claims_huge_pictures_is_refused_before_anything_is_allocated(tmp_path):
    path = timed_film(tmp_path / "a.mov", [k / 25 for k in range(6)], "rawvideo", "rgb24")
    content = path.read_bytes()
    place = content.index(b"raw ", content.index(b"stsd")) + 28
    path.write_bytes(content[:place] + struct.pack(">HH", 16000, 16000) + content[place + 4 :])
    with pytest.raises(UserError, match="16000x16000; at most|larger|more than 40 million"):
        open_footage(path)


PLAYLISTS = {
    "a.ffconcat": "ffconcat version 1.0\nfile secret.mp4\n",
    "a.mp4": "ffconcat version 1.0\nfile secret.mp4\n",
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "live.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n",
    "a.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    "<Period><AdaptationSet><Representation><BaseURL>secret.mp4</BaseURL></Representation>"
    "</AdaptationSet></Period></MPD>",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5000 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "a.srt": "1\n00:00:00,000 --> 00:00:02,000\nsecret.mp4\n",
    "a.txt": "secret.mp4\n" * 50,
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_list_of_other_files_opens_none_of_them(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    timed_film(tmp_path / "secret.mp4", [k / 25 for k in range(6)])
    (tmp_path / name).write_text(PLAYLISTS[name])
    with pytest.raises(UserError, match="is not a video that FFmpeg can read.*lists of files"):
        open_footage(name)


@pytest.mark.parametrize(
    "name",
    [
        "take:1.mp4",
        "file:other.mp4",
        "concat:other.mp4|other.mp4",
        "subfile,,start,0,end,9,,:other.mp4",
        "http:x.mp4",
        "data:video.mp4",
        "pipe:0",
        "-x.mp4",
        "img%03d.mp4",
        "a'b\"c $(d) \n.mp4",
        "💃.mp4",
        "dan\udce7a.mp4",
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_is_only_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    timed_film(tmp_path / "other.mp4", [k / 25 for k in range(3)])
    content = timed_film(tmp_path / "named.mp4", [k / 25 for k in range(9)]).read_bytes()
    try:
        (tmp_path / name).write_bytes(content)
    except OSError:
        pytest.skip("this disk takes no such name")
    assert sum(1 for _ in open_footage(name).frames()) == 9


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes among its files")
def test_what_has_no_end_is_refused_and_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UserError, match="is a pipe.*save it as a file"):
        open_footage(tmp_path / "pipe.mp4")
    with pytest.raises(UserError, match="is a device"):
        open_footage("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.mp4")
        with pytest.raises(UserError, match="is a socket"):
            open_footage("s.mp4")


def test_a_file_that_grows_is_read_to_where_it_ended_when_it_was_opened(tmp_path):
    path = timed_film(tmp_path / "a.ts", [k / 25 for k in range(9)])
    content = path.read_bytes()
    with opened(path) as film:
        path.write_bytes(content * 3)
        assert sum(packet.size > 0 for packet in film.demux(video=0)) == 9


def test_only_a_real_lack_of_memory_is_called_one(monkeypatch):
    error = av.error.MemoryError(12, "Cannot allocate memory")
    opening.blame(error)
    # What a decoder says whose pictures find no memory; it says so of damage, too.
    damage = av.error.InvalidDataError(1094995529, "Invalid data found when processing input")
    opening.blame(damage)
    monkeypatch.setattr(opening, "_SOME_MEMORY", 1 << 62)
    opening.blame(av.error.OSError(5, "Input/output error"))
    for one in (error, damage):
        with pytest.raises(MemoryError):
            opening.blame(one)


def test_a_decoder_that_cannot_start_a_thread_is_no_damage():
    with pytest.raises(BlockingIOError) as caught:
        opening.blame(av.error.BlockingIOError(11, "Resource temporarily unavailable"))
    assert "no further thread or process can be started" in explain(caught.value)


SHORT = """
import os, resource, sys
from dancenet.data.footage.video import open_footage
frames = open_footage(sys.argv[1]).frames
for room in range(4, 64, 4):  # MB that are left to the decoder
    if os.fork() == 0:
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (room << 20),) * 2)
        try:
            found = sum(1 for _ in frames())
        except (MemoryError, BlockingIOError):
            found = "short"
        print(found, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits as on Linux")
def test_where_memory_is_short_a_film_is_not_called_damaged(tmp_path):
    pictures = [np.zeros((1080, 1920, 3), np.uint8)] * 6
    times = [k / 25 for k in range(6)]
    film = timed_film(tmp_path / "large.mp4", times, "libx264", pictures=pictures)
    done = subprocess.run(
        [sys.executable, "-c", SHORT, str(film)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(opening.__file__).parents[4])},
    )
    # In between, threads of FFmpeg may lose pictures without an error, which the report tells.
    found = done.stdout.split()
    assert len(found) == 15 and found[:3] == ["short"] * 3 and found[-1] == "6", found


def test_a_disk_that_cannot_be_read_is_blamed_and_not_the_film(tmp_path, monkeypatch):
    path = timed_film(tmp_path / "a.mp4", [k / 25 for k in range(9)])

    class Disc:
        def seek(self, place):
            raise OSError(5, "Input/output error")

    class Scratched(opening._Bytes):
        def __init__(self, file, path):
            super().__init__(file, path)
            self._file = Disc()

    monkeypatch.setattr(opening, "_Bytes", Scratched)
    with pytest.raises(UserError, match="cannot be read .Input/output error"):
        open_footage(path)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "folder.mp4/x"])
def test_names_that_no_file_can_have_are_answered(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="There is no video|cannot be read"):
        open_footage(name)


def test_tags_in_any_encoding_are_no_matter(tmp_path):
    path = tmp_path / "a.mkv"
    timed_film(path, [k / 25 for k in range(9)])
    with av.open(str(path)) as film, av.open(str(tmp_path / "b.mkv"), "w") as copy:
        copy.metadata["title"] = "Video: XXXX, 12 fps. Duration: 01:02:00"
        stream = copy.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    path.write_bytes((tmp_path / "b.mkv").read_bytes().replace(b"XXXX", b"\xe7\xff\x00\xe9"))
    footage = open_footage(path)
    assert footage.fps == 25 and footage.expected_seconds == pytest.approx(9 / 25)


def test_pictures_that_nobody_can_be_seen_in_are_refused(tmp_path):
    for shape in ((4, 400), (12, 64), (400, 40)):
        pictures = [np.zeros((*shape, 3), np.uint8)] * len(sway(6))
        path = timed_film(tmp_path / "a.mkv", [k / 25 for k in range(6)], "ffv1", pictures=pictures)
        with pytest.raises(UserError, match=f"{shape[1]}x{shape[0]}, in which no dancer"):
            open_footage(path)
