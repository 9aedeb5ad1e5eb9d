"""A Dataset of images on disk, each read when it is asked for."""

import copy

import numpy as np
import torch
from torch.utils.data import Dataset

from sk_cbloss._validation import check_size
from sk_cbloss.datasets._coco import read_coco
from sk_cbloss.datasets._image_lists import read_folders, read_list, read_table
from sk_cbloss.datasets._pillow import pillow, read_image


class LongTailedImages(Dataset):
    """Images on disk, of classes with names: a lazy torch Dataset.

    An image is opened when it is asked for. Of all images, only paths and
    classes are in memory, in arrays that processes share.

    Parameters
    ----------
    paths : array-like of str or path of shape (n_samples,)
        Where the images lie, below root.
    labels : array-like of shape (n_samples,), default=None
        Their classes: names, or positions in classes. None is for images to
        predict: their class is None.
    root : str or path, default=""
        The folder that the paths start from.
    classes : list of str, default=None
        Names of all classes; None takes those of the labels, or numbers.
    size : int, default=None
        Scale and crop each image to a square of so many pixels a side. None
        leaves the size to a transform.
    transform : callable, default=None
        Makes a tensor of a PIL image, upright, in mode "RGB", as those of
        torchvision do. None makes one of shape (3, height, width), float32,
        in [0, 1].

    Attributes
    ----------
    classes : list of str
        The names of the classes, sorted; without names, 0, 1, and so on.
    targets : ndarray of shape (n_samples,), dtype int64
        Positions in classes.
    paths : ndarray of shape (n_samples,), of strings
        The paths below root.
    root : pathlib.Path
        The folder.
    class_count : dict
        From each class's name to its number of images.
    labels : ndarray of shape (n_samples,)
        Each image's class by name.

    Raises
    ------
    ImportError
        If pillow is not installed.
    OSError
        If a file is not there.
    ValueError
        If a file is not what it is taken for; and later, if an image is
        damaged, or its numbers do not tell what is white, with its path.

    See Also
    --------
    make_long_tailed : Takes a long tail of these images, too.
    sk_cbloss.neural_net.features_and_labels : Has scikit-learn search over a Dataset.

    Notes
    -----
    ``images[row]`` is an image and its target; ``images[rows]``, of a slice or an
    array, is a data set of these images, which reads none. So scikit-learn's
    ``train_test_split`` cuts it as it does an array.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from sk_cbloss import LongTailedImages
    >>> folder = tempfile.TemporaryDirectory()
    >>> for path in ("ant/1.png", "ant/2.png", "bee/1.png"):
    ...     (Path(folder.name) / path).parent.mkdir(exist_ok=True)
    ...     Image.new("RGB", (40, 30)).save(Path(folder.name) / path)
    >>> images = LongTailedImages.from_folders(folder.name, size=32)
    >>> images.class_count
    {'ant': 2, 'bee': 1}
    >>> image, target = images[2]
    >>> image.shape, target
    (torch.Size([3, 32, 32]), 1)
    >>> images[:2].labels
    array(['ant', 'ant'], dtype='<U3')
    >>> folder.cleanup()
    """

    ndim = 1

    def __init__(self, paths, labels=None, *, root="", classes=None, size=None, transform=None):
        self._become(read_table(paths, labels, root, classes), size, transform)

    @classmethod
    def from_folders(cls, root, *, classes=None, size=None, transform=None):
        """Take the images below each class's folder, ``root/CLASS/``, in the order of their paths.

        Parameters
        ----------
        root : str or path
            The folder of folders. Those without images are left out.
        classes : list of str, default=None
            Names of all classes, of which some may have no folder; None takes
            those of the folders.
        size : int, default=None
            Scale and crop each image to a square of so many pixels a side.
        transform : callable, default=None
            Makes a tensor of a PIL image.

        Returns
        -------
        LongTailedImages
            The data set.
        """
        return cls.__new__(cls)._become(read_folders(root, classes), size, transform)

    @classmethod
    def from_coco(cls, annotations, *, root=None, size=None, transform=None):
        """Take the images of COCO-style JSON, such as iNaturalist's of 2017 and 2018.

        Each image has one category. Annotations may say more, such as boxes,
        which is not looked at.

        Parameters
        ----------
        annotations : str or path
            The file, with the lists ``images``, ``annotations`` and ``categories``.
        root : str or path, default=None
            The folder that each ``file_name`` starts from; None takes the file's.
        size : int, default=None
            Scale and crop each image to a square of so many pixels a side.
        transform : callable, default=None
            Makes a tensor of a PIL image.

        Returns
        -------
        LongTailedImages
            The data set, in the order of ``images``.
        """
        return cls.__new__(cls)._become(read_coco(annotations, root), size, transform)

    @classmethod
    def from_list(cls, listing, *, root=None, classes=None, size=None, transform=None):
        """Take the images of a text file, a path and an integer a line, such as ImageNet-LT's.

        Parameters
        ----------
        listing : str or path
            The file.
        root : str or path, default=None
            The folder that the paths start from; None takes the file's.
        classes : list of str, default=None
            Names of the classes, in the order of the file's integers; None
            leaves them numbers. (Sorted, they need not stand in this order;
            targets follow them.)
        size : int, default=None
            Scale and crop each image to a square of so many pixels a side.
        transform : callable, default=None
            Makes a tensor of a PIL image.

        Returns
        -------
        LongTailedImages
            The data set, in the order of the lines.
        """
        return cls.__new__(cls)._become(read_list(listing, root, classes), size, transform)

    def _become(self, listed, size, transform):
        pillow(type(self).__name__)
        self.root, self.paths, self.targets, self.classes = listed
        self.size = None if size is None else check_size(size, "size")
        if not (transform is None or callable(transform)):
            raise ValueError(f"transform must be callable or None, got {transform!r}.")
        self.transform = transform
        return self

    def __len__(self):
        return len(self.targets)

    @property
    def shape(self):
        return (len(self),)

    @property
    def class_count(self):
        count = np.bincount(self.targets, minlength=len(self.classes))
        return dict(zip(self.classes, count.tolist(), strict=True))

    @property
    def labels(self):
        return np.array(self.classes)[self.targets]

    def __getitem__(self, row):
        """Return an image and its target, or the data set of several rows."""
        target = self.targets[row]
        if target.ndim:
            part = copy.copy(self)
            part.paths, part.targets = self.paths[row], target
            return part
        image = read_image(self.root / self.paths[row], self.size)
        if self.transform is None:
            array = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255
            return torch.from_numpy(array), int(target)
        return self.transform(image), int(target)

    def __repr__(self):
        return f"<LongTailedImages: {len(self)} of {len(self.classes)} classes in {self.root}>"
