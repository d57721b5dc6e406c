"""Estimates how long the rest of a project takes, and divides the time for training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dancenet.model.folder import TRAINING, ModelFolder
from dancenet.project.record import Record, Source
from dancenet.support import checked, files
from dancenet.support.names import quoted

# The training loop's files (dancenet/nets/training/loop, which would import Keras).
CHECKPOINT = "checkpoint.npz"
_LOG = "log.jsonl"
_LOG_TAIL = 1 << 16  # bytes; more than a line has

_VAE_SHARE = 0.55  # share of the time for training: pictures need more of it than the motion
_LEAST_TRAINING = 0.5  # share of all minutes, however long extraction took
# First guesses, replaced by measured rates as the work goes on.
_EXTRACTED_PER_SECOND = 15.0  # frames of a phone video, by the person network
_LIFTED_PER_SECOND = 15.0  # frames of a phone video, into joints
_ENCODED_PER_SECOND = 250.0  # frames
_GENERATED_PER_SECOND = 60.0  # frames
_START_SECONDS = 5.0  # to start a stage
# Bytes on disk, a little less than what is used.
_FRAME_BYTES = 2 * (4096 + 3000)  # of a frame and its mirror image: a picture, and its packed bits
_MODEL_BYTES = 80_000_000  # weights, checkpoints with the optimiser, graphs
_POSE_BYTES = 1000  # of a frame's keypoints and joints
_JOINTS_MODEL_BYTES = 40_000_000


def training_folder(model: Path, stage: str) -> Path:
    """Returns the folder in which a training stage keeps its progress."""
    return model / TRAINING / stage.removeprefix("train-")


@dataclass(frozen=True)
class Plan:
    """Estimates from what is finished and from what was measured."""

    record: Record
    sources: Sequence[Source]
    model: ModelFolder
    minutes: float  # for everything
    dance_seconds: float

    def seconds_left(self) -> float:
        """Estimates the seconds that everything unfinished takes."""
        record = self.record
        if not record.training_began:
            # Extraction is paid for out of the same minutes, unless it takes most of them.
            extracting = sum(
                self._extraction_seconds(source) for source in self.sources if self._is_new(source)
            )
            return extracting + self._end_seconds() + self._training_seconds(extracting)
        left = 0.0
        for name in record.trainings:
            if not record.is_finished(name):
                stage = record.stages.get(name)
                minutes = stage.minutes if stage else None
                if minutes is None:
                    minutes = (record.minutes or self.divide())[name]
                left += max(0.0, minutes * 60 - _trained_seconds(self.model.path, name))
                left += _START_SECONDS
        if self._draws and not record.is_finished("encode-frames"):
            left += self._encode_seconds()
        return left + self._generate_seconds()

    def bytes_left(self) -> int:
        """Estimates, rather low, how much disk the unfinished stages take."""
        seconds = sum(source.seconds for source in self.sources if self._is_new(source))
        frame, model = _POSE_BYTES, _JOINTS_MODEL_BYTES
        if self._draws:
            frame, model = _FRAME_BYTES, _MODEL_BYTES
        if self.record.training_began:
            model = 0
        return round(seconds * self.record.fps) * frame + model

    @property
    def _draws(self) -> bool:
        """Whether pictures are learned, and not joints."""
        return not self.record.joints

    def _is_new(self, source: Source) -> bool:
        return source.key not in self.record.clips

    def divide(self) -> dict[str, float]:
        """Returns the minutes of each training, when everything is extracted."""
        minutes = self._training_seconds(0.0) / 60
        if not self._draws:
            return {"train-dancer": round(minutes, 2)}
        return {
            "train-vae": round(_VAE_SHARE * minutes, 2),
            "train-dancer": round((1 - _VAE_SHARE) * minutes, 2),
        }

    def _training_seconds(self, extracting: float) -> float:
        """Returns what extraction leaves of the minutes, given what is left of it."""
        total = 60 * self.minutes
        spent = sum(clip.seconds for clip in self.record.clips.values())
        return max(_LEAST_TRAINING * total, total - spent - extracting - self._end_seconds())

    def _extraction_seconds(self, source: Source) -> float:
        measured = [clip for clip in self.record.clips.values() if clip.footage_seconds]
        rate = _EXTRACTED_PER_SECOND if self._draws else _LIFTED_PER_SECOND
        if measured:
            frames = sum(clip.footage_seconds for clip in measured) * self.record.fps
            rate = frames / max(1e-3, sum(clip.seconds for clip in measured))
        return source.seconds * self.record.fps / rate + _START_SECONDS

    def _end_seconds(self) -> float:
        starts = len(self.record.trainings) * _START_SECONDS
        encoding = self._encode_seconds() if self._draws else 0.0
        return encoding + self._generate_seconds() + starts

    def _encode_seconds(self) -> float:
        frames = 2 * sum(source.seconds * self.record.fps for source in self.sources)  # mirrored
        return frames / _ENCODED_PER_SECOND + _START_SECONDS

    def _generate_seconds(self) -> float:
        return self.dance_seconds * self.record.fps / _GENERATED_PER_SECOND + _START_SECONDS


def _trained_seconds(model: Path, stage: str) -> float:
    """Returns how long a begun training has run, by its log."""
    path = training_folder(model, stage) / _LOG
    if not path.exists():
        return 0.0
    with files.open_regular(path, "training log") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_TAIL))
        lines = file.read(_LOG_TAIL).splitlines()
    if not lines:
        return 0.0
    source = f"{quoted(path)} is not a training log"
    content = checked.parse_json(lines[-1], source)
    seconds = content.get("seconds", 0.0) if isinstance(content, dict) else None
    return float(checked.convert(float, seconds, f"{source}: seconds"))
