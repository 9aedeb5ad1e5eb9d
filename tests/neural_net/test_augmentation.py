"""PadCropFlip gives crops of the padded images, each as likely as any other."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net.modules._augmentation import PadCropFlip

CPU_AND_CUDA = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ),
]


def image(n_channels=2, height=3, width=4):
    """Give an image of which no two pixels are alike, none 0."""
    return torch.arange(1.0, 1 + n_channels * height * width).view(n_channels, height, width)


def every_crop(image, padding, fill, flip):
    """Cut out every crop by slices, and flip it."""
    n_channels, height, width = image.shape
    fill = np.broadcast_to(fill, n_channels)[:, None, None]
    padded = np.tile(fill, (height + 2 * padding, width + 2 * padding)).astype(np.float32)
    padded[:, padding : padding + height, padding : padding + width] = image.numpy()
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[:, top : top + height, left : left + width]
            yield crop
            if flip:
                yield crop[:, :, ::-1]


def draw(augment, image, n_draws, seed=0):
    torch.manual_seed(seed)
    return augment(image.expand(n_draws, *image.shape))


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("fill", [0.0, -1, (-1.0, 0.5)])
@pytest.mark.parametrize("flip", [False, True])
def test_every_crop_is_drawn_as_often_as_any_other_and_nothing_else(padding, fill, flip):
    drawn = draw(PadCropFlip(padding, fill, flip), image(), 5000)
    found, counts = np.unique(drawn.numpy(), axis=0, return_counts=True)
    crops = np.unique(np.stack([*every_crop(image(), padding, fill, flip)]), axis=0)
    np.testing.assert_array_equal(found, crops)
    assert len(crops) == (2 * padding + 1) ** 2 * (2 if flip else 1)
    expected = 5000 / len(crops)
    assert (abs(counts - expected) < 5 * expected**0.5).all()


def test_without_padding_and_flip_images_stay_as_they_are():
    images = torch.randn(5, 3, 7, 6)
    torch.testing.assert_close(PadCropFlip(0, flip=False)(images), images, rtol=0, atol=0)


def test_images_draw_by_themselves():
    """Of two images in a batch, every pair of draws is seen."""
    images = image().expand(2, *image().shape)
    augment = PadCropFlip(padding=1)
    torch.manual_seed(0)
    pairs = {augment(images).numpy().tobytes() for _ in range(5000)}
    assert len(pairs) == 18**2


@pytest.mark.parametrize("device", CPU_AND_CUDA)
@pytest.mark.parametrize("fill", [0.0, (-1.0, 0.5)])
def test_the_same_seed_gives_the_same_images(fill, device):
    augment, here = PadCropFlip(fill=fill), image(2, 32, 32).to(device)
    assert torch.equal(draw(augment, here, 9), draw(augment, here, 9))
    assert not torch.equal(draw(augment, here, 9), draw(augment, here, 9, seed=1))


@pytest.mark.parametrize("device", CPU_AND_CUDA)
@pytest.mark.parametrize("fill", [1, (1, 0)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.uint8])
def test_images_keep_shape_data_type_device_and_memory_format(dtype, memory_format, fill, device):
    images = image().expand(6, -1, -1, -1).to(device, dtype, memory_format=memory_format)
    before = images.clone()
    torch.manual_seed(0)
    after = PadCropFlip(fill=fill)(images)
    assert (after.shape, after.dtype, after.device) == (images.shape, dtype, images.device)
    assert after.is_contiguous(memory_format=memory_format)
    assert torch.equal(images, before)
    if device == "cpu":
        expected = draw(PadCropFlip(fill=fill), image(), 6)
        torch.testing.assert_close(after.float(), expected)


@pytest.mark.parametrize("fill", [0.0, (-1.0, 0.5)])
def test_nothing_depends_on_a_value(fill):
    """So that nothing waits for the device: the meta device has no values to wait for."""
    after = PadCropFlip(fill=fill)(torch.empty(6, 2, 3, 4, device="meta"))
    assert after.shape == (6, 2, 3, 4)


def test_no_images_and_small_images():
    assert PadCropFlip()(torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)
    assert PadCropFlip(padding=9, fill=1)(torch.ones(4, 1, 1, 1)).eq(1).all()


def test_gradients_go_back_to_the_pixels_that_are_seen():
    images = torch.ones(8, 2, 5, 5, requires_grad=True)
    after = PadCropFlip(fill=(0, 0))(images)
    after.sum().backward()
    assert images.grad.sum() == after.sum()
    assert set(images.grad.unique().tolist()) == {0, 1}


def test_a_net_with_it_as_a_parameter_can_be_cloned():
    augment = PadCropFlip(2, fill=[0.5, 1.0], flip=False)
    assert repr(augment) == "PadCropFlip(padding=2, fill=[0.5, 1.0], flip=False)"
    copied = clone(CBNeuralNetClassifier(module__augment=augment)).get_params()["module__augment"]
    for same in (copied, copy.deepcopy(augment), pickle.loads(pickle.dumps(augment))):
        assert same is not augment
        assert repr(same) == repr(augment)
        assert torch.equal(draw(same, image(), 9), draw(augment, image(), 9))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"padding": -1}, "padding must be an integer >= 0, got -1."),
        ({"padding": 1.5}, "padding must be an integer >= 0, got 1.5."),
        ({"fill": "black"}, "fill must be a number, or one for each channel, got 'black'."),
        ({"fill": [0, None]}, r"fill must be a number, or one for each channel, got \[0, None\]."),
        ({"fill": []}, r"fill must be a number, or one for each channel, got \[\]."),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        PadCropFlip(**parameters)


@pytest.mark.parametrize("fill", [[1.0], [1.0, 2.0, 3.0]])
def test_as_many_values_as_channels(fill):
    with pytest.raises(ValueError, match=r"one value for each of 2 channels, got \[1.0.*\].$"):
        PadCropFlip(fill=fill)(image()[None])


@pytest.mark.parametrize("fill", [0.5, (1, 0.5)])
def test_whole_values_for_integers(fill):
    """Torch would cut the decimals off."""
    with pytest.raises(ValueError, match=r"whole for images of dtype torch.uint8, got .*0.5"):
        PadCropFlip(fill=fill)(image()[None].to(torch.uint8))


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (1, 1, 2, 3, 4)])
def test_a_batch_has_four_dimensions(shape):
    with pytest.raises(
        ValueError, match=r"^images must be a tensor of shape \(n_samples, .*got shape \("
    ) as e:
        PadCropFlip()(torch.zeros(shape))
    assert str(shape) in str(e.value)


@pytest.mark.parametrize("images", [np.zeros((2, 3, 4, 4)), None])
def test_a_batch_is_a_tensor(images):
    with pytest.raises(ValueError, match=f"^images must be .*, got {type(images).__name__}"):
        PadCropFlip()(images)
