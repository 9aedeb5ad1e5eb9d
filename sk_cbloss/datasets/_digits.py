"""The digits of scikit-learn, long-tailed."""

import numpy as np
from sklearn.datasets import load_digits

from sk_cbloss._validation import check_choice
from sk_cbloss.datasets._long_tail import long_tailed_train_test_split, take_rows

TEST_SAMPLES_PER_CLASS = 50

DESCR = """Long-tailed digits
------------------
scikit-learn's 8x8 handwritten digits, split once: 50 samples of each digit make
the balanced test part; of the others, digit 0 is the head of a long tail and
digit 9 its end.
"""


def load_digits_lt(
    subset="train", *, imbalance_factor=20, random_state=0, return_X_y=False, as_frame=False
):
    """Load the digits, with a long-tailed training part and a balanced test part.

    ======================  ===========
    Classes                          10
    Features                         64
    Training samples, head          128
    Test samples a class             50
    ======================  ===========

    Parameters
    ----------
    subset : {"train", "test"}, default="train"
        Which part. The test part is the same for every imbalance_factor.
    imbalance_factor : float, default=20
        Largest over smallest class count of the training part, from 1 to 128.
    random_state : int, RandomState instance or None, default=0
        Seed of the split and of the draws. Load both parts with the same
        integer, or they overlap.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` in place of a Bunch.
    as_frame : bool, default=False
        Whether data is a DataFrame and target a Series; needs pandas.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the fields ``data`` (ndarray of shape (n_samples, 64), pixels from
        0 to 16), ``target`` (ndarray of shape (n_samples,)), ``frame``,
        ``feature_names``, ``target_names``, ``class_count`` (a dict from label
        to number of training samples) and ``DESCR``.
    (data, target) : tuple
        With ``return_X_y=True``.

    Raises
    ------
    ValueError
        If a parameter is invalid.

    Examples
    --------
    >>> from sk_cbloss import load_digits_lt
    >>> load_digits_lt().class_count
    {0: 128, 1: 91, 2: 65, 3: 47, 4: 33, 5: 24, 6: 17, 7: 12, 8: 8, 9: 6}
    >>> load_digits_lt("test").data.shape
    (500, 64)
    """
    check_choice(subset, "subset", ("train", "test"))
    digits = load_digits(as_frame=as_frame)
    _, _, train_labels, _, train, test = long_tailed_train_test_split(
        np.arange(len(digits.target)),
        np.asarray(digits.target),
        imbalance_factor=imbalance_factor,
        test_size=10 * TEST_SAMPLES_PER_CLASS,
        random_state=random_state,
        return_indices=True,
    )
    rows = train if subset == "train" else test
    names, count = np.unique(train_labels, return_counts=True)
    digits.class_count = dict(zip(names.tolist(), count.tolist(), strict=True))
    for part in ("data", "target", "images"):
        digits[part] = take_rows(digits[part], rows)
    if as_frame:
        digits.frame = take_rows(digits.frame, rows)
    digits.DESCR = DESCR
    return (digits.data, digits.target) if return_X_y else digits
