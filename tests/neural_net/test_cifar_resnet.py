"""CifarResNet is the net of the paper, layer by layer."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, linear, relu

from sk_cbloss.neural_net.modules._cifar_resnet import CifarResNet, _ResidualBlock


def images(n_samples=4, n_channels=3, size=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_samples, n_channels, size, size, generator=generator, dtype=dtype)


def resnet(*args, seed=0, **kwargs):
    torch.manual_seed(seed)
    return CifarResNet(*args, **kwargs)


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def naive_shortcut(x):
    """Average squares of two by two, of what there is of them, between channels of zeros."""
    n_samples, n_channels, height, width = x.shape
    out = np.zeros((n_samples, 2 * n_channels, (height + 1) // 2, (width + 1) // 2))
    for i, j in np.ndindex(out.shape[2:]):
        square = x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        out[:, n_channels // 2 : -(n_channels // 2), i, j] = square.mean((2, 3))
    return out


def naive_forward(state, x, n_blocks):
    """Go through the layers one after the other, in training mode."""
    weights = iter([value for value in state.values() if value.ndim == 4])

    def convolution(x, stride=1):
        return batch_norm(conv2d(x, next(weights), None, stride, 1), None, None, training=True)

    x = relu(convolution(x))
    for stage in range(3):
        for block in range(n_blocks):
            halves = stage > 0 and block == 0
            shortcut = torch.from_numpy(naive_shortcut(x.numpy())) if halves else x
            x = relu(shortcut + convolution(relu(convolution(x, 2 if halves else 1))))
    return linear(x.mean((2, 3)), state["head.weight"], state["head.bias"])


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("depth", [8, 14])
def test_the_net_is_its_layers(size, depth):
    module = resnet(3, 5, depth).double()
    x = images(size=size, dtype=torch.float64)
    with torch.no_grad():
        expected = naive_forward(module.state_dict(), x, n_blocks=(depth - 2) // 6)
        torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("shape", [(2, 16, 8, 8), (2, 16, 5, 7), (2, 32, 1, 2)])
def test_the_shortcut_to_more_channels(shape):
    x = torch.randn(shape, dtype=torch.float64)
    shortcut = _ResidualBlock(shape[1], 2 * shape[1]).shortcut(x)
    np.testing.assert_allclose(shortcut, naive_shortcut(x.numpy()))


def test_the_shortcut_to_as_many_channels():
    x = torch.randn(2, 16, 8, 8)
    assert _ResidualBlock(16, 16).shortcut(x) is x


@pytest.mark.parametrize("n_features", [1, 3])
@pytest.mark.parametrize("n_classes", [10, 100])
@pytest.mark.parametrize("depth", [8, 20, 32])
def test_the_number_of_parameters(n_features, n_classes, depth):
    n = (depth - 2) // 6
    convolutions = 9 * (
        n_features * 16
        + 2 * n * 16 * 16
        + (16 * 32 + (2 * n - 1) * 32 * 32)
        + (32 * 64 + (2 * n - 1) * 64 * 64)
    )
    normalisations = 2 * ((1 + 2 * n) * 16 + 2 * n * 32 + 2 * n * 64)
    head = 64 * n_classes + n_classes
    module = CifarResNet(n_features, n_classes, depth)
    assert n_parameters(module) == convolutions + normalisations + head


def test_the_number_of_parameters_of_the_papers_net_by_hand():
    first = 3 * 16 * 9 + 32  # a convolution's weights, a normalisation's scales and shifts
    narrow = 5 * (2 * 16 * 16 * 9 + 2 * 32)
    middle = (16 * 32 * 9 + 32 * 32 * 9 + 2 * 64) + 4 * (2 * 32 * 32 * 9 + 2 * 64)
    wide = (32 * 64 * 9 + 64 * 64 * 9 + 2 * 128) + 4 * (2 * 64 * 64 * 9 + 2 * 128)
    assert (first, narrow, middle, wide) == (464, 23_360, 88_192, 351_488)
    assert n_parameters(CifarResNet(3, 10)) == 464 + 23_360 + 88_192 + 351_488 + 650 == 464_154


@pytest.mark.parametrize("depth", [8, 20, 32])
def test_depth_is_the_number_of_layers_with_weights(depth):
    module = CifarResNet(3, 10, depth)
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth
    assert module(images()).shape == (4, 10)


@pytest.mark.parametrize("size", [1, 4, 5, 31, 32])
def test_images_of_any_size(size):
    assert CifarResNet(2, 3, depth=8)(images(2, 2, size)).shape == (2, 3)


def test_images_with_their_channels_last_are_named():
    module = CifarResNet(32, 3, depth=8)
    with pytest.raises(ValueError, match=r"^Images must have shape .* got \(2, 32, 32, 3\): move"):
        module(images(2, 3, 32).permute(0, 2, 3, 1))


def test_weights_start_glorot_uniform():
    module = resnet(3, 10)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            n_out, n_in, *kernel = layer.weight.shape
            bound = (6 / ((n_in + n_out) * np.prod(kernel))) ** 0.5
            assert 0.98 * bound < layer.weight.abs().max() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
    assert isinstance(module.head, nn.Linear)
    assert not module.head.bias.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_parameter_has_a_gradient(dtype):
    module = resnet(3, 10, 20).to(dtype)
    logits = module(images(size=16, dtype=dtype))
    assert logits.dtype == dtype
    nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    for parameter in module.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()


def test_channels_last_is_kept_and_gives_the_same():
    module, x = resnet(3, 10, 14).eval(), images(size=9)
    expected = module(x)
    module.to(memory_format=torch.channels_last)
    kept = []
    for layer in module.body[:-2]:
        layer.register_forward_hook(
            lambda _, __, out: kept.append(out.is_contiguous(memory_format=torch.channels_last))
        )
    torch.testing.assert_close(module(x.contiguous(memory_format=torch.channels_last)), expected)
    assert len(kept) == 9
    assert all(kept)


def test_half_precision():
    module, x = resnet(3, 10, 8).eval(), images()
    with torch.autocast("cpu", torch.bfloat16):
        logits = module(x)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), module(x), atol=0.05, rtol=0.05)


def test_pickle_compile_and_export():
    module, x = resnet(3, 10, 8).eval(), images()
    torch.testing.assert_close(pickle.loads(pickle.dumps(module))(x), module(x))
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), module(x))
    sizes = ({0: torch.export.Dim("n_samples")},)
    exported = torch.export.export(module, (x,), dynamic_shapes=sizes).module()
    torch.testing.assert_close(exported(x[:3]), module(x[:3]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 10, 33), r"depth must be 6 n \+ 2 with n >= 1, got 33\."),
        ((3, 10, 2), r"depth must be an integer >= 8, got 2\."),
        ((3, 10, 32.0), r"depth must be an integer >= 8, got 32\.0\."),
        ((0, 10), r"n_features must be an integer >= 1, got 0\."),
        ((3, 0), r"n_classes must be an integer >= 1, got 0\."),
    ],
)
def test_bad_sizes(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        CifarResNet(*arguments)
