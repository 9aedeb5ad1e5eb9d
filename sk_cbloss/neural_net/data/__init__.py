"""Features and labels, from what a user gives to the batches of an epoch.

Owns checks, positions of classes, the split, and loaders; of a net, what it learns of the data.
"""

from sk_cbloss.neural_net.data._arrays import (
    ArrayDataset,
    Rows,
    Uncast,
    arrays_of,
    as_tensor,
    cut,
    each_array,
    floats_in,
    logits_of,
)
from sk_cbloss.neural_net.data._batches import BatchLoader
from sk_cbloss.neural_net.data._checked_data import CheckedData
from sk_cbloss.neural_net.data._class_aware import ClassAwareSampler
from sk_cbloss.neural_net.data._drawing import before_drawing, differ
from sk_cbloss.neural_net.data._features import (
    check_features,
    is_multi_input,
    loaded,
    split_sample_weight,
)
from sk_cbloss.neural_net.data._features_and_labels import features_and_labels, features_beside
from sk_cbloss.neural_net.data._label_sets import (
    FOR_LABELS,
    has_several_labels,
    is_for_labels,
)
from sk_cbloss.neural_net.data._shared_batches import SharedBatches
from sk_cbloss.neural_net.data._streamed import is_streamed
from sk_cbloss.neural_net.data._tags import IGNORED, ignored_tag, read_tags
from sk_cbloss.neural_net.data._training_data import (
    is_empty,
    no_data,
    split_to_stop_early,
    told_classes,
    training_data,
)
from sk_cbloss.neural_net.data._validation_data import validation_dataset

__all__ = [
    "FOR_LABELS",
    "IGNORED",
    "ArrayDataset",
    "BatchLoader",
    "CheckedData",
    "ClassAwareSampler",
    "Rows",
    "SharedBatches",
    "Uncast",
    "arrays_of",
    "as_tensor",
    "before_drawing",
    "check_features",
    "cut",
    "differ",
    "each_array",
    "features_and_labels",
    "features_beside",
    "floats_in",
    "has_several_labels",
    "ignored_tag",
    "is_empty",
    "is_for_labels",
    "is_multi_input",
    "is_streamed",
    "loaded",
    "logits_of",
    "no_data",
    "read_tags",
    "split_sample_weight",
    "split_to_stop_early",
    "told_classes",
    "training_data",
    "validation_dataset",
]
