"""RandAugment does what Pillow does, image by image; Cutout cuts every square as often."""

import copy
import pickle

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import Cutout, PadCropFlip, RandAugment
from sk_cbloss.neural_net.modules._rand_augment import MOVES, OPERATIONS, changed

SIZE = 32
RNG = np.random.default_rng(0)
# Smooth, as photographs are, and not of all levels.
NOISE = np.repeat(np.repeat(RNG.integers(30, 220, (6, 8, 8, 3)), 4, axis=1), 4, axis=2)
PHOTOS = (NOISE + RNG.integers(-20, 20, NOISE.shape)).astype(np.uint8)
BATCH = torch.as_tensor(PHOTOS).movedim(3, 1)
FILL = 128
EACH = pytest.mark.parametrize(
    "augment", [RandAugment(3, limits=(0, 255)), Cutout(3, fill=1)], ids=["RandAugment", "Cutout"]
)


def moved(image, *matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=(FILL,) * 3)


def enhanced(kind):
    return lambda image, amount: kind(image).enhance(1 + 0.9 * amount)


BY_PILLOW = {
    "identity": lambda image, amount: image,
    "shear_x": lambda image, amount: moved(image, 1, 0.3 * amount, 0, 0, 1, 0),
    "shear_y": lambda image, amount: moved(image, 1, 0, 0, 0.3 * amount, 1, 0),
    "translate_x": lambda image, a: moved(image, 1, 0, a * 150 / 331 * SIZE, 0, 1, 0),
    "translate_y": lambda image, a: moved(image, 1, 0, 0, 0, 1, a * 150 / 331 * SIZE),
    "rotate": lambda image, amount: image.rotate(30 * amount, fillcolor=(FILL,) * 3),
    "brightness": enhanced(ImageEnhance.Brightness),
    "color": enhanced(ImageEnhance.Color),
    "contrast": enhanced(ImageEnhance.Contrast),
    "sharpness": enhanced(ImageEnhance.Sharpness),
    "posterize": lambda image, amount: ImageOps.posterize(image, 8 - round(4 * abs(amount))),
    "solarize": lambda image, amount: ImageOps.solarize(image, 256 * (1 - abs(amount))),
    "autocontrast": lambda image, amount: ImageOps.autocontrast(image),
    "equalize": lambda image, amount: ImageOps.equalize(image),
}


@pytest.mark.parametrize("amount", [0.3, -0.3, 0.77, 1, 0])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_that_of_pillow(name, amount):
    number = torch.full((len(BATCH),), OPERATIONS.index(name))
    found = changed(BATCH.double(), number, torch.full((len(BATCH),), amount).double(), FILL)
    by_pillow = [np.asarray(BY_PILLOW[name](Image.fromarray(one), amount)) for one in PHOTOS]
    difference = (found.movedim(1, 3) - torch.as_tensor(np.stack(by_pillow))).abs()
    if name in MOVES:  # where a pixel comes from just between two, rounding decides
        assert (difference > 0).double().mean() < 0.002
    else:  # Pillow rounds, or cuts off; of what it mixes with, too
        assert difference.max() <= 1.5 * (1 + 0.9 * abs(amount))
        assert difference.mean() < 1


def test_each_image_goes_through_its_own():
    which = torch.arange(len(OPERATIONS))
    levels = BATCH[:1].float().expand(len(which), -1, -1, -1)
    amount = torch.linspace(-1, 1, len(which))
    together = changed(levels, which, amount, FILL)
    for row in which:
        alone = changed(levels[:1], which[row, None], amount[row, None], FILL)
        torch.testing.assert_close(together[row], alone[0])


@pytest.mark.slow
def test_operations_and_signs_are_drawn_alike():
    """Each operation gives another image, and each of those with a sign two."""
    torch.manual_seed(0)
    drawn = RandAugment(1, limits=(0, 255))(BATCH[:1].expand(4000, -1, -1, -1))
    _, counts = np.unique(drawn.flatten(1).numpy(), axis=0, return_counts=True)
    signed = 9  # moves and blends
    assert len(counts) == len(OPERATIONS) + signed
    expected = 4000 / len(OPERATIONS)
    counts = np.sort(counts)
    assert (abs(counts[signed * 2 :] - expected) < 5 * expected**0.5).all()
    assert (abs(counts[: signed * 2] - expected / 2) < 5 * expected**0.5).all()


def test_units_of_the_images_do_not_matter():
    scaled = BATCH.double() / 127.5 - 1
    torch.manual_seed(0)
    levels = RandAugment(3, limits=(0, 255), fill=FILL)(BATCH.double())
    torch.manual_seed(0)
    found = RandAugment(3, fill=FILL / 127.5 - 1)(scaled)
    torch.testing.assert_close(found, levels / 127.5 - 1)


def test_no_operations_and_no_magnitude():
    images = torch.rand(5, 3, 8, 8) * 2 - 1
    torch.testing.assert_close(RandAugment(0)(images), images)
    number = torch.arange(1, 12)  # up to solarize; the last two know no magnitude
    levels = BATCH[:1].double().expand(11, -1, -1, -1)
    torch.testing.assert_close(changed(levels, number, torch.zeros(11).double(), 0), levels)


@pytest.mark.parametrize("n_channels", [1, 2, 4])
def test_images_of_other_channels_and_small_ones(n_channels):
    images = torch.rand(40, n_channels, 5, 7)
    for small in (images, images[:, :, :2, :1], images[:0]):
        after = RandAugment(2, 20, limits=(0, 1))(small)
        assert after.shape == small.shape
        assert ((after >= -1e-6) & (after <= 1 + 1e-6)).all()


def every_square(image, size, fill):
    _, height, width = image.shape
    for row in range(height):
        for column in range(width):
            cut = image.numpy().copy()
            top, left = max(row - size // 2, 0), max(column - size // 2, 0)
            cut[:, top : row - size // 2 + size, left : column - size // 2 + size] = fill
            yield cut


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_every_square_is_cut_as_often_as_any_other(size):
    image = torch.arange(1.0, 41).view(2, 4, 5)
    torch.manual_seed(0)
    drawn = Cutout(size, fill=-1)(image.expand(6000, -1, -1, -1))
    found, counts = np.unique(drawn.numpy(), axis=0, return_counts=True)
    squares = np.stack([*every_square(image, size, -1)])
    squares, chances = np.unique(squares, axis=0, return_counts=True)
    np.testing.assert_array_equal(found, squares)
    expected = 6000 * chances / 20
    assert (abs(counts - expected) < 5 * expected**0.5).all()


@EACH
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.uint8])
def test_images_keep_shape_data_type_and_memory_format(augment, dtype, memory_format):
    images = BATCH.to(dtype, memory_format=memory_format)
    before = images.clone()
    torch.manual_seed(0)
    after = augment(images)
    assert (after.shape, after.dtype) == (images.shape, dtype)
    assert after.is_contiguous(memory_format=memory_format)
    assert torch.equal(images, before)
    torch.manual_seed(0)
    atol = 1 if dtype in (torch.uint8, torch.bfloat16) else 1e-3
    torch.testing.assert_close(after.double(), augment(BATCH.double()), atol=atol, rtol=0)


@EACH
def test_the_same_seed_gives_the_same_images_and_others_others(augment):
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(augment(BATCH))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    for same in (copy.deepcopy(augment), pickle.loads(pickle.dumps(augment))):
        assert same == augment


@EACH
@pytest.mark.parametrize("images", [np.zeros((2, 3, 4, 4)), torch.zeros(3, 4)])
def test_a_batch_is_a_tensor_of_four_dimensions(augment, images):
    with pytest.raises(ValueError, match="^images must be a tensor of shape"):
        augment(images)


def test_a_net_takes_several_in_turn():
    images = BATCH.float().repeat(4, 1, 1, 1) / 127.5 - 1
    labels = np.tile([0, 0, 0, 0, 1, 1], 4)
    seen = []

    def see(features):
        seen.append(features)
        return features.flatten(1)[:, :20]

    given = [PadCropFlip(2), RandAugment(), Cutout(8, fill=9.0), see]
    net = CBNeuralNetClassifier(batch_transform=given, max_epochs=1, random_state=0, device="cpu")
    net.set_params(module=torch.nn.Linear(20, 2), iterator_train__shuffle=False)
    net.fit(images, labels)
    assert (seen[0] == 9).flatten(1).any(dim=1).all()
    assert not (images == 9).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandAugment(-1), "n_operations must be an integer >= 0, got -1"),
        (lambda: RandAugment(magnitude=31), r"magnitude must be a number in \[0, 30\], got 31"),
        (lambda: RandAugment(magnitude="9"), r"magnitude must be a number in \[0, 30\], got '9'"),
        (lambda: RandAugment(limits=1), "limits must be two numbers, got 1"),
        (lambda: RandAugment(limits=(0, "1")), r"limits must be two numbers, got \(0, '1'\)"),
        (lambda: RandAugment(limits=(1, 0)), r"limits must be in order, .*, got \(1, 0\)"),
        (lambda: RandAugment(fill=(0, 0)), r"fill must be a number, got \(0, 0\)"),
        (lambda: Cutout(0), "size must be an integer >= 1, got 0"),
        (lambda: Cutout(fill="black"), "fill must be a number, got 'black'"),
        (lambda: Cutout(fill=0.5)(BATCH), "fill must be whole for images of dtype torch.uint8"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()
