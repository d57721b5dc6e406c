"""Batches of frames: the ones halfway between two others, in the middle or where they were."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras", reason="the networks need the extra 'train'")

from dancenet.data.frames.centre import median_column
from dancenet.model.config import VaeConfig
from dancenet.nets.training.loop import Epoch
from dancenet.nets.training.options import VaeOptions
from dancenet.nets.training.pictures.batches import Batches
from dancenet.nets.vae import VaeTrainer, build_decoder, build_encoder, draw_batch
from dancenet.support.errors import UserError

HEIGHT, WIDTH = 16, 32


class Packed:
    """Frames whose number is the column of a line."""

    def read(self, indices: np.ndarray) -> np.ndarray:
        frames = np.full((len(indices), HEIGHT, WIDTH), 255, np.uint8)
        frames[np.arange(len(indices)), :, np.asarray(indices)] = 0
        return frames


def _batch(**options: object) -> tuple[np.ndarray, Batches]:
    given = VaeOptions(batch_size=12, augment=0.0, frames_per_epoch=24, **options)
    config = VaeConfig(height=HEIGHT, width=WIDTH, latent_dim=4, centred=bool(given.centred))
    batches = Batches(given, config, Packed(), [range(2, 14), range(14, 30)], None)
    epoch = Epoch(0, 0, 1, 1, np.random.default_rng(3))
    (content,) = next(iter(batches(epoch)))
    return content["frames"][..., 0], batches


def test_frames_halfway_lie_between_two_frames_of_their_range() -> None:
    frames, batches = _batch(halfway=0.25, centred=False)
    assert len(frames) == 12 and batches.num_halfway == 3
    numbers = median_column(frames)
    first, halfway, last = numbers[:3], numbers[3:6], numbers[6:9]
    assert (2 * halfway == first + last).all()
    assert ((first < 14) == (last < 14)).all() and (first >= 2).all() and (last < 30).all()


def test_no_frame_is_halfway_if_none_is_asked_for() -> None:
    frames, batches = _batch(halfway=0.0, centred=False)
    assert batches.num_halfway == 0 and len(frames) == 12
    assert len(set(median_column(frames))) == 12


def test_centred_frames_stand_in_the_middle() -> None:
    frames, _ = _batch(centred=True)
    assert (median_column(frames) == WIDTH // 2).all()


@pytest.mark.parametrize("share", [-0.1, 0.4, float("nan")])
def test_a_share_of_frames_halfway_has_bounds(share: float) -> None:
    with pytest.raises(UserError, match="halfway must be from 0 to 0.333"):
        VaeOptions(halfway=share)


def test_the_mean_of_two_draws_must_decode_to_the_frame_halfway() -> None:
    config = VaeConfig(height=HEIGHT, width=WIDTH, latent_dim=4)
    encoder, decoder = build_encoder(config), build_decoder(config)
    frames = Packed().read(np.array([3, 9, 15, 20]))
    rng = np.random.default_rng(0)
    (content,) = draw_batch(frames, rng, 1.0, 4)
    losses = []
    for num_halfway in (0, 1):
        trainer = VaeTrainer(encoder, decoder, num_halfway=num_halfway)
        given = trainer(content)
        losses.append(float(trainer.compute_loss(x=content, y_pred=given)))
    # By hand: rows 0, 1 and 2 are the first frame, the one halfway, and the last.
    draws = given["z_mean"] + np.exp(0.5 * np.array(given["z_log_var"])) * content["noise"]
    mean = 0.5 * (np.array(draws)[:1] + np.array(draws)[2:3])
    logits = np.array(trainer.decoder_logits(mean))[0, ..., 0]
    nats = np.logaddexp(0, np.where(frames[1] > 0, -logits, logits)).sum()
    assert losses[1] - losses[0] == pytest.approx(0.1 * nats, rel=1e-3)
