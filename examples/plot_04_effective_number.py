"""
The effective number of samples
===============================

Is the hundredth sample of a class worth as much as the first? Mostly not: it looks like some that
are there already. The effective number counts what is new, and class-balanced weights are one over
it. Here the idea, the formula and the weights are looked at one by one, on scikit-learn's
handwritten digits.
"""

# %%
# Samples overlap
# ---------------
# Take the images of one digit in random order. Call an image new if it lies farther than a
# distance of 20 from every image before it, with 64 pixels from 0 to 16. How many of the first n
# are new? (Means of 50 orders.)
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances

from sk_cbloss import class_balanced_weight, describe_long_tail, effective_number, load_digits_lt
from sk_cbloss.inspection import ClassWeightDisplay, EffectiveNumberDisplay, LongTailDisplay

rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)


def n_new(digit, distance=20):
    """Return the mean number of new images among the first 1, 2, 3, ... of a digit."""
    apart = pairwise_distances(X[y == digit])
    earlier = np.tri(len(apart), k=-1, dtype=bool)
    curves = []
    for _ in range(50):
        order = rng.permutation(len(apart))
        nearest = np.where(earlier, apart[np.ix_(order, order)], np.inf).min(axis=1)
        curves.append(np.cumsum(nearest > distance))
    return np.mean(curves, axis=0)


new = {digit: n_new(digit) for digit in (0, 3, 8)}
shown = [1, 5, 10, 20, 40, 80, 160]
print("images seen   ", "".join(f"{n:7}" for n in shown))
for digit, curve in new.items():
    print(f"new, of the {digit}s", "".join(f"{curve[n - 1]:7.1f}" for n in shown))

# %%
# The formula
# -----------
# Suppose that a class has N different images in all, and that each sample shows one of them at
# random. Then n samples show, on average,
#
# .. math:: E_n = \frac{1 - \beta^n}{1 - \beta}, \qquad \beta = \frac{N - 1}{N}
#
# different ones. That is the effective number. For each digit, here is the N that fits the first
# 40 images, and what the formula then says of 160.
volumes = np.arange(1, 2000)
new_of_40 = volumes * (1 - (1 - 1 / volumes) ** 40)
beta = {}
print("digit      N    beta   new of 160   the formula's")
for digit, curve in new.items():
    N = np.interp(curve[39], new_of_40, volumes)
    beta[digit] = 1 - 1 / N
    formula = effective_number([160], beta=beta[digit])[0]
    print(f"{digit:5}{N:7.0f}{beta[digit]:8.3f}{curve[159]:13.1f}{formula:16.1f}")

# %%
# The picture
# -----------
# Lines are the formula, dots are the images. The shape is right: straight at first, then bent. But
# it is a simple model. Real images are not all equally frequent, so that the dots go on rising
# where the line is flat already. And N depends on the digit (zeros are much alike, eights are
# not), and on what we call new. In practice one beta serves all classes, and one searches for it.
display = EffectiveNumberDisplay(np.bincount(y), betas=list(beta.values())).plot()
for (digit, curve), line in zip(new.items(), display.lines_, strict=True):
    at = [n for n in shown if n > 1]
    style = {"color": line.get_color(), "linestyle": "", "marker": "os^"[digit // 3]}
    display.ax_.plot(at, curve[np.array(at) - 1], label=f"images of the {digit}s", **style)
display.ax_.legend(fontsize="small")
plt.show()

# %%
# From numbers to weights
# -----------------------
# A class-balanced weight is one over the effective number. Take long-tailed digits: 128 zeros, 6
# nines.
_, y_lt = load_digits_lt(return_X_y=True)
LongTailDisplay.from_labels(y_lt)
plt.show()

# %%
# With ``beta=0`` a class counts as one sample, however large it is: all count alike. With
# ``beta=1`` nothing overlaps, and the weight is one over the count. Between them, a class beyond
# N = 1 / (1 - beta) samples gets no lighter by more of them, so the line is flat at the head.
count = np.bincount(y_lt)
betas = [0, 0.9, 0.97, 0.99, 1]
print("samples of the class", "".join(f"{n:6}" for n in count))
for value in betas:
    weight = class_balanced_weight(count, beta=value, normalize="samples")
    print(f"weight, beta = {value:<5}", "".join(f"{w:6.2f}" for w in weight))

ClassWeightDisplay.from_labels(y_lt, betas=betas)
plt.show()

# %%
# Where beta matters
# ------------------
# beta is a poor scale: what counts is N beside the sizes of the classes. With N far below the
# smallest class all count alike; with N far above the largest it is inverse frequency. Only
# between is there anything to search, and that range depends on the data. The same words for the
# digits with every class 40 times as large, as they would be in a bigger data set:
print(describe_long_tail(y_lt), "\n")
print(describe_long_tail(np.repeat(y_lt, 40)))

# %%
# So 0.99, a middle value for the one, is next to no weighting at all for the other. Take the grid
# from your own labels, by ``describe_long_tail`` or ``beta_grid``, and let a search choose.
