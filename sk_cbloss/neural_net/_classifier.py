"""CBNeuralNetClassifier, skorch's classifier with class-balanced losses."""

import copy
import inspect

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNetClassifier
from skorch.callbacks import (
    BatchScoring,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    PassthroughScoring,
    PrintLog,
)
from skorch.history import History
from skorch.utils import to_numpy
from torch import nn

from sk_cbloss._doc_link import DocLink
from sk_cbloss._state import put_back
from sk_cbloss._validation import check_integer, check_seed
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net._chosen_loss import DTYPES, ChosenLoss
from sk_cbloss.neural_net._parameters import (
    check_learning_rate,
    check_names,
    check_rules,
    parameter_names,
)
from sk_cbloss.neural_net._prediction import Prediction
from sk_cbloss.neural_net._report import report
from sk_cbloss.neural_net.callbacks._scoring import DecodeLabels, balanced_accuracy
from sk_cbloss.neural_net.callbacks._sklearn_callbacks import EpochReporter, with_callbacks
from sk_cbloss.neural_net.callbacks._training_checkpoint import TrainingCheckpoint
from sk_cbloss.neural_net.data._batches import ArrayDataset, BatchLoader
from sk_cbloss.neural_net.data._checked_data import CheckedData
from sk_cbloss.neural_net.data._validation_data import validation_dataset
from sk_cbloss.neural_net.errors._explained import check_arguments, check_complete
from sk_cbloss.neural_net.errors._memory import memory_explained
from sk_cbloss.neural_net.modules._mlp import MLP
from sk_cbloss.neural_net.state._net_state import NetState, net_put_back_on_error
from sk_cbloss.neural_net.state._own_files import OwnFiles
from sk_cbloss.neural_net.state._pickling import Portable
from sk_cbloss.neural_net.state._randomness import seeded
from sk_cbloss.neural_net.training._epochs import n_epochs_done
from sk_cbloss.neural_net.training._fit_call import FitCall, NothingLearned
from sk_cbloss.neural_net.training._steps import FastSteps

DATA_PREFIXES = ("dataset__", "iterator_train__", "iterator_valid__")
PLAIN = {"callbacks", "dataset", "device", "iterator_train", "iterator_valid", "optimizer"}
PLAIN |= {"random_state"}


class _Stored:
    """An attribute that skorch sets in __init__, kept under a private name.

    scikit-learn takes public attributes set there for parameters.
    """

    def __set_name__(self, owner, name):
        self.name = f"_{name}"

    def __get__(self, net, owner=None):
        if net is None:
            return self
        try:
            return vars(net)[self.name]
        except KeyError:
            raise AttributeError(self.name) from None

    def __set__(self, net, value):
        vars(net)[self.name] = value


class CBNeuralNetClassifier(
    DocLink,
    EpochReporter,
    ChosenLoss,
    Prediction,
    CheckedData,
    FastSteps,
    OwnFiles,
    Portable,
    NeuralNetClassifier,
):
    """A neural net with a class-balanced loss, built on skorch.

    The classes' effective numbers come from the labels that ``fit`` receives,
    so that every fold of a search has its own weights, and ``loss``, ``beta``
    and ``gamma`` can be searched like any parameter. Whatever skorch's
    ``NeuralNetClassifier`` can do, this can do too.

    Parameters
    ----------
    module : torch.nn.Module class, function or instance, default=None
        What maps features to logits of shape (n_samples, n_classes). A class
        or function is called with ``n_features`` and ``n_classes`` if it has
        parameters of these names, and with ``module__*``; an instance is
        copied. None takes :class:`~sk_cbloss.neural_net.MLP`.
    loss : {"softmax", "sigmoid", "focal", "softmax_focal", "logit_adjusted", \
            "ldam", "cdt", "vs"}, default="softmax"
        Name of the loss. Its further parameters have the prefix
        ``criterion__``, such as ``criterion__tau``.
    beta : float in [0, 1], default=None
        See :func:`effective_number`; 0 weighs all classes alike, 1 gives
        inverse frequency. None takes 0.999, or 0 for the losses that know the
        classes' frequencies ("logit_adjusted", "ldam", "cdt", "vs").
    gamma : float, default=None
        The focal losses' focus on hard samples, or how far the temperatures
        of "cdt" and "vs" differ; from 0 to 1e6. None takes the loss's own: 1,
        or 0.2. Only with a loss that has a gamma.
    normalize : {"classes", "samples"} or None, default="classes"
        See :func:`class_balanced_weight`.
    random_state : int, RandomState instance or None, default=None
        Seed of initial parameters, order of the samples and dropout. None
        draws from torch's global generator, a seed leaves it untouched.
    dtype : {"float32", "float64"}, default="float32"
        Type of features, parameters and loss.
    autocast : {"bfloat16", "float16"} or None, default=None
        Half precision for the module, where it is safe, as
        ``torch.autocast`` has it; parameters and loss stay in float32. With
        "float16", gradients are scaled.
    channels_last : bool, default=False
        Whether images and module are laid out with the channels last, which
        convolutions often like better.
    batch_transform : callable, default=None
        Changes the features of each training batch, a tensor on the device,
        such as :class:`~sk_cbloss.neural_net.PadCropFlip`. A torch.nn.Module
        is used as it is: it does not learn, and stays where it lies.
    early_stopping : bool, default=False
        Whether to hold samples out, and stop once their balanced accuracy has
        not risen by 0.0001 for ``n_iter_no_change`` epochs. The best
        parameters are kept.
    validation_fraction : float in (0, 1), default=0.1
        Share of each class to hold out for early stopping; at least one
        sample of each class that has two.
    n_iter_no_change : int, default=10
        Number of epochs without a rise that early stopping waits.
    criterion : torch loss class or instance, default=None
        A loss of your own in place of ``loss``; none of ``loss``, ``beta``,
        ``gamma`` and ``normalize`` may then be set. With ``sample_weight`` it
        must have ``reduction="none"``.
    optimizer : torch.optim.Optimizer class, default=torch.optim.Adam
        Called with ``optimizer__*``.
    lr : float, default=0.01
        Learning rate.
    max_epochs : int, default=30
        Number of passes over the training data.
    batch_size : int, default=128
        Number of samples a batch; -1 takes all in one.
    iterator_train : DataLoader class, default=BatchLoader
        Gives the batches of training, called with ``iterator_train__*``.
    iterator_train__shuffle : bool, default=True
        Whether to draw the samples in a new order each epoch.
    iterator_valid : DataLoader class, default=BatchLoader
        Gives the batches of validation and prediction.
    dataset : Dataset class, default=ArrayDataset
        Holds features and targets.
    train_split : callable or None, default=None
        Splits off samples for validation; such as
        ``skorch.dataset.ValidSplit(5, stratified=True)``. Classes are counted
        before the split.
    classes : array-like of shape (n_classes,), default=None
        All labels, sorted; None takes those of y.
    callbacks : None, "disable" or list of skorch callbacks, default=None
        Besides the default ones.
    predict_nonlinearity : callable, None or "auto", default="auto"
        Maps logits to probabilities; "auto" leaves it to the loss.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the parameters it finds.
    verbose : int, default=0
        1 prints a line on what was decided (device, classes, loss), then a
        line an epoch.
    device : str or torch.device, default="auto"
        Where to compute; "auto" takes a GPU if there is one.
    compile : bool, default=False
        Whether to compile the module.
    use_caching : bool or "auto", default="auto"
        See skorch.
    torch_load_kwargs : dict, default=None
        See skorch.
    **kwargs : dict
        Parameters with a prefix, such as ``module__hidden_units``,
        ``optimizer__weight_decay`` or ``callbacks__print_log``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, in the order of the logits.
    class_count_ : ndarray of shape (n_classes,), dtype float64
        Number of training samples of each class, or the sum of their weights.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in fit, if X has names that are all strings.
    module_ : torch.nn.Module
        The trained module.
    criterion_ : torch.nn.Module
        The loss.
    history_ : skorch.history.History
        What was recorded each epoch.

    See Also
    --------
    ClassBalancedClassifier : Weighs any scikit-learn classifier.
    skorch.NeuralNetClassifier : What this is built on.

    Notes
    -----
    A user's ``sample_weight`` is scaled to mean 1 over the training data,
    before batching; classes count it as given. The loss is divided by the
    number of samples of the batch. ``valid_loss`` is not weighted.

    A Linear layer named ``head``, in a module given as a class, is made fit
    for the loss. For sigmoid and focal, its bias starts at
    ``-log(n_classes - 1)``, and weight decay leaves it alone. For
    logit_adjusted, cdt and vs, it starts at 0. For ldam, the layer becomes a
    :class:`~sk_cbloss.losses.NormalizedLinear`.

    A call that raises leaves the net as it was, fitted or not. But a training
    that diverges after its first epoch keeps the parameters of the last whole
    one, and an interrupt ends training early, with the newest.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> net = CBNeuralNetClassifier(loss="focal", beta=0.99, random_state=0)
    >>> model = make_pipeline(StandardScaler(), net).fit(X, y)
    >>> X_test, y_test = load_digits_lt("test", return_X_y=True)
    >>> model.predict_proba(X_test).shape
    (500, 10)
    """

    history_, initialized_, virtual_params_ = _Stored(), _Stored(), _Stored()

    def __init__(
        self,
        module=None,
        *,
        loss="softmax",
        beta=None,
        gamma=None,
        normalize="classes",
        random_state=None,
        dtype="float32",
        autocast=None,
        channels_last=False,
        batch_transform=None,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        criterion=None,
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=30,
        batch_size=128,
        iterator_train=BatchLoader,
        iterator_train__shuffle=True,
        iterator_valid=BatchLoader,
        dataset=ArrayDataset,
        train_split=None,
        classes=None,
        callbacks=None,
        predict_nonlinearity="auto",
        warm_start=False,
        verbose=0,
        device="auto",
        compile=False,
        use_caching="auto",
        torch_load_kwargs=None,
        **kwargs,
    ):
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=iterator_train,
            iterator_train__shuffle=iterator_train__shuffle,
            iterator_valid=iterator_valid,
            dataset=dataset,
            train_split=train_split,
            classes=classes,
            callbacks=callbacks,
            predict_nonlinearity=predict_nonlinearity,
            warm_start=warm_start,
            verbose=verbose,
            device=device,
            compile=compile,
            use_caching=use_caching,
            torch_load_kwargs=torch_load_kwargs,
            **kwargs,
        )
        self.loss = loss
        self.beta = beta
        self.gamma = gamma
        self.normalize = normalize
        self.random_state = random_state
        self.dtype = dtype
        self.autocast = autocast
        self.channels_last = channels_last
        self.batch_transform = batch_transform
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change

    # ------------------------------------------------------------------ parameters

    def __setattr__(self, name, value):
        # skorch takes each module that it is given for a part that learns. A parameter is none.
        if name in parameter_names(type(self)):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def device(self):
        """The device in use: what "auto" stands for on this machine."""
        device = vars(self).get("device", "auto")
        if not _is_auto(device):
            return device
        if torch.cuda.is_available():
            return "cuda"
        if torch.backends.mps.is_available() and self.dtype == "float32":
            return "mps"
        return "cpu"

    @device.setter
    def device(self, device):
        vars(self)["device"] = device

    def _get_param_names(self):
        return [name for name in super()._get_param_names() if not name.startswith("_")]

    def get_params(self, deep=True, **kwargs):
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the callbacks' parameters.
        **kwargs : dict
            Not used.

        Returns
        -------
        dict
            Parameters by name.
        """
        params = super().get_params(deep=deep, **kwargs)
        return params | {"device": vars(self)["device"]}

    def set_params(self, **kwargs):
        """Set parameters.

        Those of the loss (``loss``, ``beta``, ``gamma``, ``normalize``) act at
        the next fit. On a fitted net, ``module``, ``criterion``, ``optimizer``
        and ``callbacks`` are made anew at once, with ``random_state``, as they
        are for ``module__*`` and ``criterion__*``. If one parameter is
        invalid, none is set.

        Parameters
        ----------
        **kwargs : dict
            Parameters by name.

        Returns
        -------
        self : CBNeuralNetClassifier
            The net.
        """
        with net_put_back_on_error(self):
            if self.initialized_:
                self._change(kwargs)
                return self
            if "callbacks" in kwargs:
                # skorch would initialise them at once; until fit, they are plain parameters.
                self.callbacks = kwargs.pop("callbacks")
            return super().set_params(**kwargs)

    def _change(self, params):
        """Set parameters of a net that is built, and build anew what they change."""
        check_rules(params)
        if "lr" in params:
            check_learning_rate(params["lr"])
        plain = {name for name in params if name in PLAIN or name.startswith(DATA_PREFIXES)}
        rest = {name: params[name] for name in params if name not in plain}
        in_fit = "_fit_call" in vars(self)  # where a callback may ask for it
        kept = {name for name in rest if name.startswith("optimizer__") and name.count("__") == 1}
        kept = set() if in_fit else kept
        for name in plain | kept:
            # skorch does not know what to build, forgets it, or sets it too late to build by.
            setattr(self, name, params[name])
        if "callbacks" in params:
            self._initialize_callbacks()
        changed = {name.partition("__")[0] for name in rest}
        is_built = not changed.isdisjoint(["compile", *self._modules, *self._criteria])
        seed = self._next_seed(build=True) if is_built and not in_fit else None
        with seeded(seed, self.device):
            super().set_params(**rest)
        if "optimizer" in params and not is_built:
            self._initialize_optimizer()
        elif kept and not is_built:  # would the next one be taken?
            before = dict(vars(self))
            self.initialize_optimizer()
            put_back(vars(self), before)

    def _validate_params(self):
        check_names(self._params_to_validate, self.prefixes_)
        super()._validate_params()

    def _check_parameters(self):
        self._check_loss()
        self._check_training()

    def _check_training(self):
        check_rules(vars(self))
        if "optimizer__lr" not in vars(self):
            check_learning_rate(self.lr)
        if self.autocast is not None and self.dtype != "float32":
            raise ValueError(
                f"autocast must be None for dtype={self.dtype!r}, got {self.autocast!r}."
            )
        check_integer(self.n_iter_no_change, "n_iter_no_change", minimum=1)
        if self.early_stopping and isinstance(self.callbacks, str):
            raise ValueError(f"early_stopping must be False with callbacks={self.callbacks!r}.")
        check_integer(self.max_epochs, "max_epochs", minimum=int(bool(self.early_stopping)))

    # ------------------------------------------------------------------ components

    def initialize(self):
        """Build the net; it stays what it was if that fails.

        Returns
        -------
        self : CBNeuralNetClassifier
            The net.
        """
        with net_put_back_on_error(self):
            check_rules(vars(self))
            return super().initialize()

    def initialize_history(self):
        """Begin a history; the one before stays what it is.

        Returns
        -------
        self : CBNeuralNetClassifier
            The net.
        """
        if type(self.history) is not History:  # none yet, or one with a store of its own
            return super().initialize_history()
        self.history = History()
        return self

    @property
    def _default_callbacks(self):
        callbacks = [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
            (
                "valid_balanced_accuracy",
                EpochScoring(
                    balanced_accuracy, name="valid_balanced_accuracy", lower_is_better=False
                ),
            ),
            ("print_log", PrintLog()),
        ]
        if isinstance(self.early_stopping, bool | np.bool_) and self.early_stopping:
            stop = EarlyStopping(
                "valid_balanced_accuracy",
                lower_is_better=False,
                patience=self.n_iter_no_change,
                threshold=1e-4,
                threshold_mode="abs",
                load_best=True,
            )
            callbacks.append(("early_stopping", stop))
        return callbacks

    def initialize_callbacks(self):
        """Initialise the callbacks: those that score see labels, checkpoints come last.

        Returns
        -------
        self : CBNeuralNetClassifier
            The net.
        """
        super().initialize_callbacks()
        classes = getattr(self, "classes_", None)
        for position, (name, callback) in enumerate(self.callbacks_):
            scores = isinstance(callback, EpochScoring | BatchScoring)
            if scores and callback.target_extractor is to_numpy and classes is not None:
                callback = copy.copy(callback)  # it may be the user's own
                callback.target_extractor = DecodeLabels(classes)
                self.callbacks_[position] = (name, callback)
        self.callbacks_.sort(key=lambda named: isinstance(named[1], TrainingCheckpoint))
        return self

    def initialize_module(self):
        """Build the module, of the sizes that the data has.

        Returns
        -------
        self : CBNeuralNetClassifier
            The net.
        """
        self._check_own_loss()
        module = MLP if self.module is None else self.module
        kwargs = self.get_params_for("module")
        if isinstance(module, nn.Module):
            if not kwargs:
                module = copy.deepcopy(module)
        else:
            kwargs = self._learned_sizes(module) | kwargs
            if self.module is None and not {"n_features", "n_classes"} <= kwargs.keys():
                raise ValueError(
                    "module__n_features and module__n_classes must be given for the default MLP "
                    f"where no array tells them, got {sorted(kwargs)!r}."
                )
        made = type(module) if isinstance(module, nn.Module) else module
        check_arguments(made, kwargs, "module")
        if kwargs or not isinstance(module, nn.Module):
            check_complete(made, kwargs, "module")
        built = self.initialized_instance(module, kwargs)
        self._frees_bias = False
        if inspect.isclass(module) and self.criterion is None and self._ends_in_head(built):
            loss = LOSSES[self.loss]
            built.head = loss.prepare_head(built.head)
            self._frees_bias = not loss.decays_head_bias and built.head.bias is not None
        self._dtype_in_use = self.dtype  # until the net is built anew
        built = built.to(DTYPES[self.dtype])
        if self.channels_last:
            built = built.to(memory_format=torch.channels_last)
        self.module_ = built
        return self

    def _ends_in_head(self, module):
        """Whether the module's last layer is a Linear named head."""
        head = getattr(module, "head", None)
        return (
            isinstance(head, nn.Linear)
            and not isinstance(head.weight, nn.parameter.UninitializedParameter)
            and head.out_features == len(getattr(self, "classes_", ()))
        )

    def _learned_sizes(self, module):
        named = inspect.signature(module).parameters
        sizes = {
            "n_features": getattr(self, "n_features_in_", None),
            "n_classes": len(self.classes_) if hasattr(self, "classes_") else None,
        }
        return {name: size for name, size in sizes.items() if name in named and size is not None}

    # ------------------------------------------------------------------ training

    @with_callbacks
    def fit(self, X, y=None, sample_weight=None, X_val=None, y_val=None, **fit_params):
        """Build the net and train it.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features; or a dict or list of arrays for a module of several
            inputs; or a torch Dataset. Numbers are cast to ``dtype`` (except
            integers in a dict or list), sparse matrices made dense a batch at
            a time.
        y : array-like of shape (n_samples,), default=None
            Class labels of any kind. None only with a Dataset that holds them.
        sample_weight : array-like of shape (n_samples,) or number, default=None
            Weights of the samples.
        X_val : like X, default=None
            Features to validate on after each epoch, in place of
            ``train_split`` and ``validation_fraction``.
        y_val : array-like of shape (n_val_samples,), default=None
            Their labels.
        **fit_params : dict
            Handed to the module's ``forward`` and to ``train_split``; but
            ``epochs`` takes the place of ``max_epochs``.

        Returns
        -------
        self : CBNeuralNetClassifier
            The trained net.

        Raises
        ------
        ValueError
            If a parameter or the data is invalid.
        FloatingPointError
            If losses or parameters are not finite any more.
        """
        build = not (self.warm_start and self.initialized_)
        return self._train(
            X, y, sample_weight, X_val, y_val, fit_params, method="fit", build=build
        )

    @with_callbacks
    def partial_fit(
        self,
        X,
        y=None,
        classes=None,
        sample_weight=None,
        X_val=None,
        y_val=None,
        **fit_params,
    ):
        """Go on training, for ``max_epochs`` epochs; the classes' counts add up.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features, as in ``fit``.
        y : array-like of shape (n_samples,), default=None
            Class labels, as in ``fit``.
        classes : array-like of shape (n_classes,), default=None
            All class labels, in the first call, if y lacks some of them.
        sample_weight : array-like of shape (n_samples,) or number, default=None
            Weights of the samples.
        X_val : like X, default=None
            Features to validate on after each epoch, in place of
            ``train_split`` and ``validation_fraction``.
        y_val : array-like of shape (n_val_samples,), default=None
            Their labels.
        **fit_params : dict
            Handed on, as in ``fit``.

        Returns
        -------
        self : CBNeuralNetClassifier
            The trained net.

        Raises
        ------
        ValueError
            If a parameter or the data is invalid, or y holds a new class.
        FloatingPointError
            If losses or parameters are not finite any more.
        """
        build = not self.initialized_
        return self._train(
            X,
            y,
            sample_weight,
            X_val,
            y_val,
            fit_params,
            method="partial_fit",
            build=build,
            classes=classes,
        )

    def _train(
        self, X, y, sample_weight, X_val, y_val, fit_params, *, method, build, classes=None
    ):
        self.check_training_readiness()
        epochs = fit_params.get("epochs")
        if epochs is not None:
            check_integer(epochs, "epochs", minimum=int(bool(self.early_stopping)))
        call = FitCall(is_new=build, fit_params=fit_params)
        # A net that is built anew leaves the old one's parts as they are.
        before = NetState(self, () if build else self._learning_parts().values())
        try:
            data, positions = self._learn_data(
                X,
                y,
                sample_weight,
                dtype=self.dtype if build else self._dtype_in_use,
                anew=build or not hasattr(self, "class_count_"),
                add_counts=method == "partial_fit",
                classes=classes,
            )
            if build:
                self._dtype_in_use = self.dtype
            if X_val is not None or y_val is not None:
                call.validation_data = validation_dataset(self, X_val, y_val)
            seed = self._next_seed(build)
            with memory_explained(self), seeded(seed, self.device), self._reported(X, y, epochs):
                if build:
                    self.initialize()
                elif self.criterion is None:  # other counts, and perhaps another loss
                    self._use_loss()
                self._check_head()
                if self.verbose:
                    print(report(self))  # noqa: T201
                call.n_epochs_before = len(self.history)
                call.split = self._split_to_stop_early(positions, call)
                self._fit_call = call
                super().partial_fit(data, positions, _routing_method=method, **fit_params)
        except BaseException as error:
            if not call.keeps(error):
                before.put_back()
            if isinstance(error, NothingLearned):
                raise error.__cause__ from None
            raise
        finally:
            vars(self).pop("_fit_call", None)
        return self

    @property
    def _call(self):
        """The call of ``fit`` that is under way; or one that is made up, for skorch's own loop."""
        if "_fit_call" not in vars(self):
            self._fit_call = FitCall()
        return self._fit_call

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Train for the epochs that are left; a checkpoint may have brought some.

        Parameters
        ----------
        X : Dataset, array-like, sparse matrix, dict or list of arrays
            Features.
        y : array of shape (n_samples,), default=None
            Positions of the classes.
        epochs : int, default=None
            Number of epochs; None trains up to ``max_epochs``.
        **kwargs : dict
            See ``skorch.NeuralNet.fit_loop``.

        Returns
        -------
        self : CBNeuralNetClassifier
            The net.
        """
        is_ours = "_fit_call" in vars(self)
        call = self._call
        call.n_epochs_before = len(self.history) - call.n_epochs_resumed
        epochs = self.max_epochs if epochs is None else epochs
        try:
            return super().fit_loop(X, y, epochs=max(0, epochs - n_epochs_done(self)), **kwargs)
        except KeyboardInterrupt as interrupt:
            if call.may_end_early() or not is_ours:
                raise
            raise NothingLearned from interrupt

    def _next_seed(self, build):
        if self.random_state is None:
            return None
        if build or not hasattr(self, "_random_state"):
            self._random_state = check_seed(self.random_state)
        return self._random_state.randint(np.iinfo(np.int32).max)

    # ------------------------------------------------------------------ persistence

    def __setstate__(self, state):
        if not _is_auto(state["device"]):
            super().__setstate__(state)
            return
        # Which device "auto" is depends on the machine that loads.
        vars(self).update(device="auto", dtype=state["dtype"])
        super().__setstate__(state | {"device": self.device})
        self.device = "auto"

    def trim_for_prediction(self):
        """Drop what only training needs; the loss stays, which knows the probabilities."""
        criterion = self.criterion_
        super().trim_for_prediction()
        self.criterion_ = criterion

    __repr__ = BaseEstimator.__repr__

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        return tags


def _is_auto(device):
    return isinstance(device, str) and device == "auto"
