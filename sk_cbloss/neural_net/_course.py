"""The course of a fit: learn of the data, build, train by epochs, be put back on error."""

from functools import partial
from types import MappingProxyType

import numpy as np
from sklearn import get_config
from sklearn.utils.metadata_routing import process_routing
from skorch import NeuralNetClassifier

from sk_cbloss._validation import check_integer, check_seed
from sk_cbloss.neural_net._report import report
from sk_cbloss.neural_net.callbacks import check_watched, keep_decisions_alone
from sk_cbloss.neural_net.data import (
    has_several_labels,
    is_empty,
    loaded,
    no_data,
    split_to_stop_early,
    told_classes,
    training_data,
    validation_dataset,
)
from sk_cbloss.neural_net.errors import explained
from sk_cbloss.neural_net.state import NetState, seeded
from sk_cbloss.neural_net.training import FitCall, NothingLearned, n_epochs_done

NOTHING = MappingProxyType({})


class Course(NeuralNetClassifier):
    """Go through a fit; what belongs to it alone lies in its FitCall, and goes with it."""

    def _train(self, method, build, X, y, sample_weight, X_val, y_val, fit_params, classes=None):
        self.check_training_readiness()
        epochs = fit_params.get("epochs")
        if epochs is not None:
            check_integer(epochs, "epochs", minimum=int(bool(self.early_stopping)))
        call = FitCall(is_new=build, fit_params=fit_params)
        # A net that is built anew leaves the old one's parts as they are.
        before = NetState(self, () if build else self._learning_parts().values())
        try:
            learn = partial(self._learn, call, X, y, sample_weight, X_val, y_val)
            adds = method == "partial_fit"
            with self._beside_others(call):
                data = self._alike(call, partial(learn, adds=adds, classes=classes))
                if not data.targets.shape[0]:
                    return self
                seed = call.ranks.seed(self._next_seed(build))
                with (
                    explained(self),
                    seeded(seed, self._device_in_use),
                    self._reported(call, X, y, epochs),
                ):
                    self._get_ready(call, data)
                    super().partial_fit(data.X, data.targets, _routing_method=method, **fit_params)
        except BaseException as error:
            if not call.keeps(error):
                before.put_back()
            if isinstance(error, NothingLearned):
                raise error.__cause__ from None
            raise
        finally:
            vars(self).pop("_fit_call", None)
        return self

    def _learn(self, call, X, y, sample_weight, X_val, y_val, **how):
        """Check all data of a call, and learn of them."""
        data = self._learn_of(X, y, sample_weight, build=call.is_new, **how)
        if X_val is not None or y_val is not None:
            call.validation_data = validation_dataset(self, X_val, y_val)
        return data

    def _learn_of(self, X, y, sample_weight, *, build=True, adds=False, classes=None):
        """Check the data, and learn classes and their counts; nothing is built yet."""
        several = has_several_labels(self, y)
        self._check_loss(several=several)
        self._check_training()
        X = loaded(X)
        anew = build or not hasattr(self, "class_count_")
        if not anew and several != self._has_several_labels:
            kinds = "one label a sample", "a column for each label"
            raise ValueError(
                f"y must hold {kinds[not several]}, as when the net was built, got "
                f"{kinds[several]}."
            )
        kept = vars(self).pop("_kept_classes", None)  # which an empty first chunk was told
        if adds:
            told = told_classes(self, classes, kept if anew else self.classes_, several=several)
            if is_empty(X, y):
                if anew:
                    self._kept_classes = told
                return no_data(told)
            classes = told if anew else classes
        data = training_data(
            self,
            X,
            y,
            sample_weight,
            dtype=self.dtype if build else self._dtype_in_use,
            classes=classes,
            known=None if anew else self.classes_,
            known_count=0.0 if anew or not adds else self.class_count_,
        )
        self.classes_inferred_, self.class_count_ = data.classes, data.class_count
        if build:
            self._dtype_in_use = self.dtype
        return data

    def _get_ready(self, call, data):
        """Build what is to be built, and say what was decided."""
        if call.is_new:
            self.initialize()
        elif self.criterion is None:  # other counts, and perhaps another loss
            self._use_loss()
        self._check_accelerated(call)
        self._check_head()
        if self.verbose:
            print(report(self))  # noqa: T201
        call.n_epochs_before = len(self.history)
        call.split = split_to_stop_early(self, data.targets, call)
        self._fit_call = call

    @property
    def _call(self):
        """The call of ``fit`` that is under way; or one that is made up, for skorch's own loop."""
        if "_fit_call" not in vars(self):
            self._fit_call = FitCall()
        return self._fit_call

    def fit_loop(self, X, y=None, epochs=None, *, _routing_method="fit", **fit_params):
        is_ours, to_split = "_fit_call" in vars(self), fit_params
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, _routing_method, **fit_params)
            to_split = routed.get("splitter", {"split": {}})["split"]
        course = self._epochs(X, y, epochs, to_split, fit_params)
        try:
            for batches in course:
                self.run_single_epoch(batches, True, "train", self.train_step, **fit_params)
        except KeyboardInterrupt as interrupt:
            if self._call.may_end_early() or not is_ours:
                raise
            raise NothingLearned from interrupt
        return self

    def on_epoch_begin(self, net, dataset_valid=None, **kwargs):
        check_watched(self, dataset_valid)
        super().on_epoch_begin(net, dataset_valid=dataset_valid, **kwargs)

    def _epochs(self, X, y, epochs=None, to_split=NOTHING, fit_params=NOTHING):
        """Yield the batches of each epoch that is left, and do what follows upon it.

        This is the course of a fit, of a net alone and of one among many. A checkpoint may have
        brought some of the epochs.
        """
        call = self._call
        call.n_epochs_before = len(self.history) - call.n_epochs_resumed
        epochs = self.max_epochs if epochs is None else epochs
        self.check_data(X, y)
        self.check_training_readiness()
        train, valid = self.get_split_datasets(X, y, **to_split)
        told = {"dataset_train": train, "dataset_valid": valid}
        batches = self.get_iterator(train, training=True)
        to_validate = None if valid is None else self.get_iterator(valid, training=False)
        for _ in range(epochs - n_epochs_done(self)):
            self.notify("on_epoch_begin", **told)
            keep_decisions_alone(self)
            yield batches
            self.run_single_epoch(to_validate, False, "valid", self.validation_step, **fit_params)
            self.notify("on_epoch_end", **told)

    def _next_seed(self, build):
        if self.random_state is None:
            return None
        if build or not hasattr(self, "_random_state"):
            self._random_state = check_seed(self.random_state)
        return self._random_state.randint(np.iinfo(np.int32).max)
