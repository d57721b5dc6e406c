"""A file of 2018 is read in any of its layouts and numberings, or refused with what it holds."""

from __future__ import annotations

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="old weights need the extra 'train'")

import files_2018 as old

from dancenet.legacy import h5, networks
from dancenet.support.errors import UserError


def same(found, expected):
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert len(found[name]) == len(values), name
        for one, two in zip(found[name], values):
            np.testing.assert_array_equal(one, two, err_msg=name)
    return True


def is_vae(path):
    found = h5.read_vae(path, old.VAE)
    return same(found.encoder, old.encoder_arrays()) and same(found.decoder, old.decoder_arrays())


def is_dancer(path):
    return same(h5.read_dancer(path, old.DANCER), old.dancer_arrays())


def swapped(arrays, *places):
    """Returns a list whose pairs (kernel, bias) come in another order."""
    pairs = [arrays[2 * place : 2 * place + 2] for place in range(len(arrays) // 2)]
    return [array for place in places for array in pairs[place]]


@pytest.mark.parametrize("full", [False, True], ids=["weights only", "full model"])
@pytest.mark.parametrize("encode", [old.as_bytes, old.as_text], ids=["bytes", "text"])
def test_both_layouts_are_read_with_names_of_either_kind(tmp_path, full, encode):
    assert is_vae(old.write(tmp_path / "v.h5", old.vae_groups(), full, encode))
    assert is_dancer(old.write(tmp_path / "d.h5", old.dancer_groups(), full, encode))


@pytest.mark.parametrize(("first", "denses"), [(0, 0), (1, 1), (8, 9), (97, 98)])
def test_any_numbering_is_read(tmp_path, first, denses):
    # dense_9, dense_10: by number, not by alphabet.
    assert is_vae(old.write(tmp_path / "v.h5", old.vae_groups(first, denses)))
    assert is_dancer(old.write(tmp_path / "d.h5", old.dancer_groups(first, denses)))


def test_lists_of_names_in_pieces_are_joined(tmp_path):
    assert is_dancer(old.write(tmp_path / "d.h5", old.dancer_groups(), chunks=3))
    assert is_vae(old.write(tmp_path / "v.h5", old.vae_groups(), chunks=2))


def test_an_encoder_that_tf_keras_listed_twice_is_read_once(tmp_path):
    path = old.write(tmp_path / "v.h5", old.doubly_listed(), encode=old.as_text)
    with h5py.File(path) as file:
        assert sum(bool(len(group.attrs["weight_names"])) for group in file.values()) == 8
    assert is_vae(path)


def test_the_groups_of_a_vae_may_have_any_name(tmp_path):
    _, encoder, decoder = old.vae_groups()
    groups = [("model_1", encoder[1]), ("model_2", decoder[1])]
    assert is_vae(old.write(tmp_path / "v.h5", groups))


def test_a_vae_without_groups_is_read_in_one_row(tmp_path):
    groups = [
        (arrays[2 * place][0].partition("/")[0], arrays[2 * place : 2 * place + 2])
        for _, arrays in old.vae_groups()
        for place in range(len(arrays) // 2)
    ]
    assert len(groups) == 12
    assert is_vae(old.write(tmp_path / "v.h5", groups))


def test_a_dancer_as_tf_keras_names_it_is_read(tmp_path):
    assert is_dancer(old.write(tmp_path / "d.h5", old.tf_keras_dancer(), True, old.as_text))


def test_the_lower_number_is_the_mean_whatever_the_order(tmp_path):
    inputs, (_, encoder), decoder = old.vae_groups(first=1, dense_first=8)
    # dense_10, the log-variance, before dense_9, the mean.
    groups = [inputs, ("encoder", swapped(encoder, 0, 1, 2, 3, 5, 4)), decoder]
    assert is_vae(old.write(tmp_path / "v.h5", groups))


def test_the_lower_lstm_comes_first_whatever_the_order(tmp_path):
    groups = old.dancer_groups(first=8)
    groups[4], groups[6] = groups[6], groups[4]
    assert [name for name, arrays in groups if arrays][:3] == ["lstm_8", "lstm_10", "lstm_9"]
    assert is_dancer(old.write(tmp_path / "d.h5", groups))


@pytest.mark.parametrize("write_dancer", [old.dancer_groups, old.tf_keras_dancer])
def test_the_means_of_the_mixture_come_before_the_sigmas_whatever_the_order(tmp_path, write_dancer):
    groups = write_dancer()
    name, arrays = groups[-1]
    groups[-1] = (name, swapped(arrays, 1, 0, 2))
    assert is_dancer(old.write(tmp_path / "d.h5", groups))


def test_kernel_and_recurrent_kernel_of_one_shape_are_told_by_their_names(tmp_path):
    groups = [
        (name, arrays[1:] + arrays[:1] if name.startswith("lstm") else arrays)
        for name, arrays in old.dancer_groups()
    ]
    assert is_dancer(old.write(tmp_path / "d.h5", groups))


def test_numbers_after_different_words_do_not_order(tmp_path):
    inputs, (_, encoder), decoder = old.vae_groups()
    renamed = [
        (name.replace("dense_2", "mean_7").replace("dense_3", "spread_1"), value)
        for name, value in encoder
    ]
    assert is_vae(old.write(tmp_path / "v.h5", [inputs, ("encoder", renamed), decoder]))


def test_a_head_built_before_its_input_layer_keeps_its_own_bias(tmp_path):
    inputs, (_, encoder), decoder = old.vae_groups()
    # Kernels (12, 128), (128, 4), (128, 4): only the heads are alike.
    renamed = [(name.replace("dense_1/", "dense_11/"), value) for name, value in encoder]
    assert is_vae(old.write(tmp_path / "v.h5", [inputs, ("encoder", renamed), decoder]))


def test_weights_of_other_precision_are_read(tmp_path):
    groups = [
        (name, [(weight, value.astype(np.float64)) for weight, value in arrays])
        for name, arrays in old.vae_groups()
    ]
    assert is_vae(old.write(tmp_path / "v.h5", groups))


def test_a_layer_of_another_size_is_refused_with_both_sizes(tmp_path):
    groups = old.vae_groups()
    groups[1][1][6] = ("dense_1/kernel:0", np.zeros((100, 128), np.float32))
    with pytest.raises(
        UserError,
        match=r"2018 VAE: expected arrays of \(192, 128\) and \(128\) as layer 4 of the encoder; "
        r"found dense_1/kernel:0 \(100, 128\)",
    ):
        h5.read_vae(old.write(tmp_path / "v.h5", groups), old.VAE)


def test_a_network_of_another_size_is_refused(tmp_path):
    path = old.write(tmp_path / "v.h5", old.vae_groups())
    with pytest.raises(UserError, match=r"\(12480, 128\).* as layer 4 of the encoder; found"):
        h5.read_vae(path)


def test_a_missing_layer_is_refused_with_what_is_there(tmp_path):
    groups = old.dancer_groups()
    with pytest.raises(UserError, match="17 arrays in all; found lstm_1 with 3 arrays"):
        h5.read_dancer(old.write(tmp_path / "d.h5", groups[:-1]), old.DANCER)
    vae = old.vae_groups()
    vae[1] = ("encoder", vae[1][1][:-2])
    with pytest.raises(UserError, match="expected 6 layers in the encoder; found 5: conv2d_1"):
        h5.read_vae(old.write(tmp_path / "v.h5", vae), old.VAE)


def test_swapped_files_are_named(tmp_path):
    vae = old.write(tmp_path / "v.h5", old.vae_groups())
    dancer = old.write(tmp_path / "d.h5", old.dancer_groups())
    with pytest.raises(UserError, match=r"a dancer\? The VAE's file is named first"):
        h5.read_vae(dancer, old.VAE)
    with pytest.raises(UserError, match=r"a VAE\? The VAE's file is named first"):
        h5.read_dancer(vae, old.DANCER)


def test_the_kind_of_a_file_is_told_by_its_shapes(tmp_path):
    vae, dancer, latents = old.write_all(tmp_path)
    kinds = [h5.tell_kind(path, old.VAE, old.DANCER) for path in (vae, dancer, latents)]
    assert kinds == ["vae", "dancer", None]
    assert h5.tell_kind(vae) is None  # of the size of 2018


def test_a_listed_name_without_an_array_is_refused(tmp_path):
    path = old.write(tmp_path / "v.h5", old.vae_groups())
    with h5py.File(path, "a") as file:
        del file["decoder/conv2d_4/bias:0"]
    with pytest.raises(UserError, match="an array 'conv2d_4/bias:0', which is listed; found none"):
        h5.read_vae(path, old.VAE)
    with h5py.File(path, "a") as file:
        del file["decoder"]
    with pytest.raises(UserError, match="a group 'decoder', which is listed; found none"):
        h5.read_vae(path, old.VAE)


def test_weights_that_lie_in_another_file_are_refused(tmp_path):
    elsewhere = tmp_path / "elsewhere.h5"
    path = old.write(tmp_path / "v.h5", old.vae_groups())
    with h5py.File(elsewhere, "w") as file:
        file["bias"] = np.zeros(32, np.float32)
    with h5py.File(path, "a") as file:
        del file["decoder/conv2d_4/bias:0"]
        file["decoder/conv2d_4/bias:0"] = h5py.ExternalLink(str(elsewhere), "bias")
    with pytest.raises(UserError, match="found a link to another file"):
        h5.read_vae(path, old.VAE)
    (tmp_path / "raw").write_bytes(bytes(128))
    with h5py.File(path, "a") as file:
        del file["decoder/conv2d_4/bias:0"]
        file["decoder/conv2d_4"].create_dataset(
            "bias:0", (32,), np.float32, external=[(str(tmp_path / "raw"), 0, 128)]
        )
    with pytest.raises(UserError, match="found a link to another file"):
        h5.read_vae(path, old.VAE)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.full(32, np.nan, np.float32), "finite numbers in conv2d_4/bias:0; found NaN"),
        (np.zeros(32, np.int64), "floats in conv2d_4/bias:0; found int64"),
    ],
)
def test_an_array_that_is_not_a_weight_is_refused(tmp_path, value, message):
    groups = old.vae_groups()
    arrays = groups[2][1]
    place = [name for name, _ in arrays].index("conv2d_4/bias:0")
    arrays[place] = (arrays[place][0], value)
    with pytest.raises(UserError, match=message):
        h5.read_vae(old.write(tmp_path / "v.h5", groups), old.VAE)


def test_a_file_of_keras_3_is_refused_with_what_it_lacks(tmp_path):
    with h5py.File(tmp_path / "v.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros((3, 3, 1, 128), np.float32)
    with pytest.raises(UserError, match="layer_names lists its layers; found no such .* layers"):
        h5.read_vae(tmp_path / "v.weights.h5", old.VAE)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    with pytest.raises(UserError, match="no weight file at"):
        h5.read_vae(tmp_path / "v.h5")
    (tmp_path / "v.h5").write_text("<html>")
    with pytest.raises(UserError, match="cannot be read as HDF5"):
        h5.read_vae(tmp_path / "v.h5")
    with pytest.raises(UserError, match="cannot be read .Is a directory"):
        h5.read_vae(tmp_path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_file_that_was_cut_is_refused(tmp_path, share):
    path = old.write(tmp_path / "d.h5", old.dancer_groups(), full=True)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match="HDF5"):
        h5.read_dancer(path, old.DANCER)


def test_a_file_whose_inside_was_overwritten_is_refused_in_a_sentence_or_read_whole(tmp_path):
    path = old.write(tmp_path / "d.h5", old.dancer_groups())
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(content)
        first = int(rng.integers(0, 3000))
        damaged[first : first + 40] = rng.bytes(40)
        path.write_bytes(damaged)
        try:
            h5.read_dancer(path, old.DANCER)
        except UserError as error:
            refused += "\n" not in str(error)
    assert refused > 5


def test_latents_are_read_in_both_shapes(tmp_path):
    path = old.write_latents(tmp_path / "lv.npy")
    latents = h5.read_latents(path, 4)
    assert latents.shape == (old.ROWS, 4) and latents.dtype == np.float32
    np.save(path, latents.astype(np.float64))
    np.testing.assert_array_equal(h5.read_latents(path, 4), latents)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((5, 3), np.float32), r"\(frames, 4\).*, found float32 of shape \(5, 3\)"),
        (np.zeros((5, 2, 4), np.float32), r"found float32 of shape \(5, 2, 4\)"),
        (np.zeros((5, 4), np.int64), "int64"),
        (np.zeros((1, 4), np.float32), "has 1 frames; two or more"),
        (np.full((5, 4), np.nan, np.float32), "NaN or infinity"),
    ],
)
def test_latents_of_another_kind_are_refused(tmp_path, value, message):
    np.save(tmp_path / "lv.npy", value)
    with pytest.raises(UserError, match=message):
        h5.read_latents(tmp_path / "lv.npy", 4)


def test_pickled_latents_are_not_unpickled(tmp_path):
    np.save(tmp_path / "lv.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="it is not an array of plain numbers"):
        h5.read_latents(tmp_path / "lv.npy")
    (tmp_path / "lv.npy").write_bytes(b"")
    with pytest.raises(UserError, match="it is not an array of plain numbers"):
        h5.read_latents(tmp_path / "lv.npy")
    np.savez(tmp_path / "lv.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="is an archive of arrays"):
        h5.read_latents(tmp_path / "lv.npz")
    with pytest.raises(UserError, match="no file of latents"):
        h5.read_latents(tmp_path / "nothing.npy")


def test_the_layers_of_2018_have_the_published_numbers_of_weights():
    def count(slots):
        return sum(int(np.prod(shape)) for slot in slots for shape in slot.shapes)

    assert count(networks.encoder_slots(networks.VAE_2018)) == 1_724_128
    assert count(networks.decoder_slots(networks.VAE_2018)) == 1_744_545
    assert count(networks.dancer_slots(networks.DANCER_2018)) == 12_198_336


def test_the_genuine_files_are_told_apart():
    assert h5.tell_kind(old.real("vae_cnn.h5")) == "vae"
    assert h5.tell_kind(old.real("gendance.h5")) == "dancer"
    assert h5.read_latents(old.real("lv.npy")).shape == (177, 128)
