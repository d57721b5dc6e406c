"""Measures how closely decoded pictures match the original frames."""

from __future__ import annotations

import cv2
import numpy as np

BOUNDARY_TOLERANCE = 2.0  # pixels
_SSIM_SIDE, _SSIM_DEVIATION = 11, 1.5  # size of the Gaussian window, pixels
_SSIM_K1, _SSIM_K2 = 0.01, 0.03


def iou(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Computes the intersection over union of two masks; 1 if both are empty.

    Args:
        truth: (B, H, W) bool, True on the dancer.
        found: (B, H, W) bool, the reconstruction.

    Returns:
        (B,).
    """
    union = (truth | found).sum(axis=(1, 2))
    return np.where(union, (truth & found).sum(axis=(1, 2)) / np.maximum(union, 1), 1.0)


def boundary_f(
    truth: np.ndarray, found: np.ndarray, tolerance: float = BOUNDARY_TOLERANCE
) -> np.ndarray:
    """Computes the F measure of two outlines.

    Precision is the share of the found outline within `tolerance` of the true outline. Recall is
    the share of the true outline within `tolerance` of the found one. F is their harmonic mean.
    Csurka, Larlus and Perronnin 2013, "What is a good evaluation measure for semantic
    segmentation?", section 3; used for video by Perazzi et al. 2016 (DAVIS), section 4.

    Args:
        truth: (B, H, W) bool, True on the dancer.
        found: (B, H, W) bool, the reconstruction.
        tolerance: Euclidean distance in pixels.

    Returns:
        (B,) in [0, 1]; 1 if neither mask has an outline, 0 if only one has.
    """
    return np.array([_boundary_f(*pair, tolerance) for pair in zip(truth, found)])


def _boundary_f(truth: np.ndarray, found: np.ndarray, tolerance: float) -> float:
    true_line, found_line = _outline(truth), _outline(found)
    if not true_line.any() or not found_line.any():
        return float(true_line.any() == found_line.any())
    precision = float((_distance_to(true_line)[found_line] <= tolerance).mean())
    recall = float((_distance_to(found_line)[true_line] <= tolerance).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _outline(mask: np.ndarray) -> np.ndarray:
    """Returns the mask's pixels that touch the background; the picture's edge does not count."""
    solid = mask.astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return (solid - cv2.erode(solid, cross)).astype(bool)


def _distance_to(line: np.ndarray) -> np.ndarray:
    return cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def psnr(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Computes the peak signal-to-noise ratio, 10 log10(1 / mean squared error).

    Args:
        truth: (B, H, W) background probability in [0, 1].
        found: (B, H, W), the reconstruction.

    Returns:
        (B,) decibels; infinite if the two are equal.
    """
    error = np.square(truth.astype(np.float64) - found).mean(axis=(1, 2))
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(error)


def ssim(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Computes the mean structural similarity.

    Wang, Bovik, Sheikh and Simoncelli 2004, "Image quality assessment: from error visibility to
    structural similarity", equation 13, with the paper's constants and window (11×11, Gaussian of
    1.5 pixels). The mean leaves out the rim, where the window does not fit.

    Args:
        truth: (B, H, W) background probability in [0, 1].
        found: (B, H, W), the reconstruction.

    Returns:
        (B,); 1 if the two are equal.
    """
    return np.array([_ssim(*pair) for pair in zip(truth, found)])


def _ssim(truth: np.ndarray, found: np.ndarray) -> float:
    x, y = truth.astype(np.float64), found.astype(np.float64)

    def blur(picture: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(picture, (_SSIM_SIDE, _SSIM_SIDE), _SSIM_DEVIATION)

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = _SSIM_K1**2, _SSIM_K2**2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    rim = _SSIM_SIDE // 2
    return float(similarity[rim:-rim, rim:-rim].mean())
