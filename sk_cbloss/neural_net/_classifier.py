"""CBNeuralNetClassifier, skorch's classifier with class-balanced losses."""

import copy
import inspect
import warnings

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
from skorch.callbacks import (
    BatchScoring,
    EpochScoring,
    EpochTimer,
    PassthroughScoring,
    PrintLog,
)
from skorch.utils import is_dataset, to_device, to_numpy, to_tensor
from torch import nn

from sk_cbloss._validation import (
    as_labels,
    check_beta,
    check_integer,
    check_non_negative,
    check_normalize,
    check_same_length,
    check_sample_weight,
)
from sk_cbloss.losses import LOSSES, ClassBalancedLoss
from sk_cbloss.neural_net._batches import ArrayDataset, BatchLoader
from sk_cbloss.neural_net._inputs import (
    check_features,
    is_multi_input,
    n_samples_of,
    split_sample_weight,
    with_sample_weight,
)
from sk_cbloss.neural_net._labels import check_sorted, dataset_labels, positions_of
from sk_cbloss.neural_net._modules import MLP
from sk_cbloss.neural_net._randomness import seeded
from sk_cbloss.neural_net._scoring import DecodeLabels, balanced_accuracy
from sk_cbloss.neural_net._sklearn_callbacks import EpochReporter, with_callbacks

DTYPES = {"float32": torch.float32, "float64": torch.float64}


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


class CBNeuralNetClassifier(EpochReporter, NeuralNetClassifier):
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
        of "cdt" and "vs" differ; at least 0. None takes the loss's own: 1,
        or 0.2. Only with a loss that has a gamma.
    normalize : {"classes", "samples"} or None, default="classes"
        See :func:`class_balanced_weight`.
    random_state : int, RandomState instance or None, default=None
        Seed of initial parameters, order of the samples and dropout. None
        draws from torch's global generator, a seed leaves it untouched.
    dtype : {"float32", "float64"}, default="float32"
        Type of features, parameters and loss.
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
        1 prints a line an epoch.
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

    # ------------------------------------------------------------------ parameters

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
        the next fit; ``module__*`` and ``criterion__*`` on a fitted net make
        these anew at once, as in skorch.

        Parameters
        ----------
        **kwargs : dict
            Parameters by name.

        Returns
        -------
        self : CBNeuralNetClassifier
            The net.
        """
        if not self.initialized_ and "callbacks" in kwargs:
            # skorch would initialise them at once; until fit, they are plain parameters.
            self.callbacks = kwargs.pop("callbacks")
        return super().set_params(**kwargs)

    def _check_parameters(self):
        if not isinstance(self.loss, str) or self.loss not in LOSSES:
            names = ", ".join(map(repr, sorted(LOSSES)))
            raise ValueError(f"loss must be one of {names}, got {self.loss!r}.")
        if self.beta is not None:
            check_beta(self.beta)
        check_normalize(self.normalize)
        if self.criterion is None:
            self._check_criterion_parameters()
        if self.gamma is not None:
            check_non_negative(self.gamma, "gamma")
            if "gamma" not in inspect.signature(LOSSES[self.loss]).parameters:
                raise ValueError(
                    f"gamma must be None for loss={self.loss!r}, which has none, "
                    f"got {self.gamma!r}. Search several losses with a list of grids."
                )
            if "criterion__gamma" in vars(self):
                raise ValueError(
                    f"gamma must be None beside criterion__gamma, got {self.gamma!r}."
                )
        check_integer(self.max_epochs, "max_epochs", minimum=0)
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be 'float32' or 'float64', got {self.dtype!r}.")
        if self.criterion is not None:
            for name in ("loss", "beta", "gamma", "normalize"):
                default = inspect.signature(CBNeuralNetClassifier).parameters[name].default
                if getattr(self, name) != default:
                    raise ValueError(
                        f"{name} must be left at {default!r} when criterion replaces the loss, "
                        f"got {getattr(self, name)!r}."
                    )

    def _check_criterion_parameters(self):
        loss = LOSSES[self.loss]
        known = (
            inspect.signature(loss).parameters
            | inspect.signature(loss.from_class_count).parameters
        )
        own = {"class_count", "class_prior", "weight", "beta", "normalize", "parameters"}
        names = sorted(known.keys() - own - {"ignore_index"})
        for name in self.get_params_for("criterion"):
            if name not in names:
                raise ValueError(
                    f"criterion__* must be one of {', '.join(names)} for loss={self.loss!r}, "
                    f"got criterion__{name}."
                )

    @property
    def _beta_in_use(self):
        """The beta that the loss weighs classes with; if not 0, not again from outside."""
        self._check_parameters()
        if self.criterion is not None:
            return 0
        return LOSSES[self.loss].default_beta if self.beta is None else self.beta

    # ------------------------------------------------------------------ components

    @property
    def _default_callbacks(self):
        return [
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

    def initialize_callbacks(self):
        """Initialise the callbacks; those that score see labels, not positions.

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
        return self

    def initialize_module(self):
        """Build the module, of the sizes that the data has.

        Returns
        -------
        self : CBNeuralNetClassifier
            The net.
        """
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
        built = self.initialized_instance(module, kwargs)
        self._frees_bias = False
        if inspect.isclass(module) and self.criterion is None and self._ends_in_head(built):
            loss = LOSSES[self.loss]
            built.head = loss.prepare_head(built.head)
            self._frees_bias = not loss.decays_head_bias and built.head.bias is not None
        self._dtype_in_use = self.dtype  # until the net is built anew
        self.module_ = built.to(DTYPES[self.dtype])
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

    def initialize_criterion(self):
        """Build the loss from the classes' counts.

        Returns
        -------
        self : CBNeuralNetClassifier
            The net.
        """
        if self.criterion is None:
            self.criterion_ = self._build_loss()
            return self
        super().initialize_criterion()
        if isinstance(self.criterion_, nn.Module):
            self.criterion_ = self.criterion_.to(DTYPES[self._dtype_in_use])
        return self

    def _build_loss(self):
        loss = LOSSES[self.loss]
        kwargs = {} if self.gamma is None else {"gamma": self.gamma}
        kwargs |= self.get_params_for("criterion")
        # Without data yet, for parameters to be loaded: classes of equal size.
        n_classes = 2 if self.classes is None else len(self.classes)
        count = getattr(self, "class_count_", np.ones(n_classes))
        built = loss.from_class_count(count, beta=self.beta, normalize=self.normalize, **kwargs)
        return built.to(DTYPES[self._dtype_in_use])

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Return the optimizer's arguments; weight decay leaves some losses' last bias alone.

        Parameters
        ----------
        prefix : str
            Name of the optimizer.
        named_parameters : iterator
            Names and parameters.

        Returns
        -------
        args : tuple
            Positional arguments.
        kwargs : dict
            Keyword arguments.
        """
        args, kwargs = super().get_params_for_optimizer(prefix, list(named_parameters))
        if self._frees_bias_from_decay(prefix, kwargs):
            (group,) = args[0]
            bias = self.module_.head.bias
            rest = [p for p in group["params"] if p is not bias]
            args = ([{"params": [bias], "weight_decay": 0}, {"params": rest}],)
        return args, kwargs

    def _frees_bias_from_decay(self, prefix, kwargs):
        if prefix != "optimizer" or not self._frees_bias:
            return False
        if hasattr(self, "optimizer__param_groups"):
            return False
        decay = inspect.signature(self.optimizer).parameters.get("weight_decay")
        return bool(kwargs.get("weight_decay", decay.default if decay else 0))

    # ------------------------------------------------------------------ data

    def check_data(self, X, y=None):
        """Do nothing: data is checked before the net is built.

        Parameters
        ----------
        X : object
            Not used.
        y : object, default=None
            Not used.
        """

    def get_dataset(self, X, y=None):
        """Return a data set; features to predict on are checked first.

        Parameters
        ----------
        X : Dataset, array-like, sparse matrix, DataFrame, dict or list of arrays
            Features.
        y : array of shape (n_samples,), default=None
            Positions of the classes, in training.

        Returns
        -------
        torch.utils.data.Dataset
            The data set.
        """
        if y is None and not is_dataset(X):
            X = check_features(self, X, dtype=self._dtype_in_use, reset=False)
        return super().get_dataset(X, y)

    def _learn_data(self, X, y, sample_weight, *, dtype, anew, add_counts, classes=None):
        """Return features and class positions for training; learn classes and their counts."""
        self._check_parameters()
        if is_dataset(X) and sample_weight is not None:
            raise ValueError(
                "sample_weight must be None with a Dataset, which batches by itself, "
                f"got {type(sample_weight).__name__}."
            )
        y = self._check_labels(X, y)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(y))
        if self.classes is not None:
            check_sorted(self.classes)
        given = classes if self.classes is None else self.classes
        known = np.unique(y if given is None else given) if anew else self.classes_
        y = positions_of(y, known, in_dataset=is_dataset(X))
        count = np.bincount(y, weights=sample_weight, minlength=len(known)).astype(np.float64)
        if add_counts and not anew:
            count += self.class_count_
        if given is None and np.count_nonzero(count) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes, "
                f"got one class: {known[np.argmax(count)]!s}."
            )
        if not is_dataset(X):
            X = check_features(self, X, dtype=dtype, reset=anew)
            self._check_default_module_takes(X)
        self.classes_inferred_, self.class_count_ = known, count
        if sample_weight is not None:
            X = with_sample_weight(X, (sample_weight / sample_weight.mean()).astype(dtype))
        return X, y

    def _check_labels(self, X, y):
        """Return labels, one for each row of X."""
        if is_dataset(X):
            y = dataset_labels(X) if y is None else y
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        y = as_labels(y)
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_same_length(len(X) if is_dataset(X) else n_samples_of(X), len(y))
        return y

    def _check_default_module_takes(self, X):
        if self.module is None and (is_multi_input(X) or X.ndim != 2):
            shape = "several arrays" if is_multi_input(X) else f"shape {X.shape}"
            raise ValueError(
                "X must have shape (n_samples, n_features) for the default MLP, "
                f"got {shape}. Give a module of your own."
            )

    # ------------------------------------------------------------------ training

    @with_callbacks
    def fit(self, X, y=None, sample_weight=None, **fit_params):
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
        **fit_params : dict
            Handed to the module's ``forward`` and to ``train_split``.

        Returns
        -------
        self : CBNeuralNetClassifier
            The trained net.

        Raises
        ------
        ValueError
            If a parameter or the data is invalid.
        """
        build = not (self.warm_start and self.initialized_)
        return self._train(X, y, sample_weight, fit_params, method="fit", build=build)

    @with_callbacks
    def partial_fit(self, X, y=None, classes=None, sample_weight=None, **fit_params):
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
        **fit_params : dict
            Handed to the module's ``forward`` and to ``train_split``.

        Returns
        -------
        self : CBNeuralNetClassifier
            The trained net.

        Raises
        ------
        ValueError
            If a parameter or the data is invalid, or y holds a new class.
        """
        build = not self.initialized_
        return self._train(
            X, y, sample_weight, fit_params, method="partial_fit", build=build, classes=classes
        )

    def _train(self, X, y, sample_weight, fit_params, *, method, build, classes=None):
        data, positions = self._learn_data(
            X,
            y,
            sample_weight,
            dtype=self.dtype if build else self._dtype_in_use,
            anew=build or not hasattr(self, "class_count_"),
            add_counts=method == "partial_fit",
            classes=classes,
        )
        with seeded(self._next_seed(build), self.device), self._reported(X, y):
            if build:
                self.initialize()
            elif self.criterion is None:  # other counts, and perhaps another loss
                loss = to_device(self._build_loss(), self.device)
                self.criterion_ = self.torch_compile(loss, name="criterion")
            self._check_head()
            super().partial_fit(data, positions, _routing_method=method, **fit_params)
        return self

    def _check_head(self):
        wanted = getattr(self.criterion_, "head_type", None)
        if wanted and not any(isinstance(part, wanted) for part in self.module_.modules()):
            warnings.warn(
                f"The module should have a last layer of type {wanted.__name__} for "
                f"{type(self.criterion_).__name__}, got none: logits of any size make its margins "
                "meaningless.",
                stacklevel=4,
            )

    def _next_seed(self, build):
        if self.random_state is None:
            return None
        if build or not hasattr(self, "_random_state"):
            self._random_state = check_random_state(self.random_state)
        return self._random_state.randint(np.iinfo(np.int32).max)

    def infer(self, x, **fit_params):
        """Apply the module to a batch.

        Parameters
        ----------
        x : tensor, dict or list of tensors
            The batch's features.
        **fit_params : dict
            Handed to the module's ``forward``.

        Returns
        -------
        tensor or tuple of tensors
            What the module returns.
        """
        x, _ = split_sample_weight(x)
        return super().infer(x, **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the loss of a batch: weighted in training, plain in validation.

        Parameters
        ----------
        y_pred : tensor of shape (n_samples, n_classes)
            Logits.
        y_true : tensor of shape (n_samples,)
            Positions of the classes.
        X : tensor, dict or list of tensors, default=None
            The batch's features, with its sample weights if there are any.
        training : bool, default=False
            Whether this is a training step.

        Returns
        -------
        tensor of shape ()
            The loss.
        """
        _, sample_weight = split_sample_weight(X)
        if not training:
            sample_weight = None
        if sample_weight is not None:
            sample_weight = to_tensor(sample_weight, device=self.device)
        if self._loss_is_ours:
            logits = y_pred[0] if isinstance(y_pred, tuple) else y_pred
            target = to_tensor(y_true, device=self.device)
            if training:
                return self.criterion_(logits, target, sample_weight).mean()
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            return self.criterion_.loss_per_sample(logits, target).mean()
        loss = super().get_loss(y_pred, y_true, X=X, training=training)
        if sample_weight is None:
            return loss.mean()
        if not loss.ndim:
            raise ValueError(
                "criterion must have reduction='none' with sample_weight, "
                "got one that returns a single loss a batch."
            )
        return (loss * sample_weight).mean()

    # ------------------------------------------------------------------ prediction

    def forward_iter(self, X, training=False, device="cpu"):
        """Yield the module's output batch by batch.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.
        training : bool, default=False
            Whether the module is in training mode.
        device : str, default="cpu"
            Where the outputs go.

        Yields
        ------
        tensor or tuple of tensors
            Output of one batch.
        """
        iterator = self.get_iterator(self.get_dataset(X), training=training)
        if not training:
            # A DataLoader draws a seed even to read in order; not from the global generator.
            iterator.generator = torch.Generator()
        for batch in iterator:
            yield to_device(self.evaluation_step(batch, training=training), device=device)

    def _logits(self, X):
        check_is_fitted(self)
        logits = self.forward(X)
        return logits[0] if isinstance(logits, tuple) else logits

    def _decision_logits(self, X):
        logits = self._logits(X)
        return self.criterion_.decision_function(logits) if self._loss_is_ours else logits

    def decision_function(self, X):
        """Return the logits.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Logits; with two classes, the second class's minus the first's.
        """
        logits = to_numpy(self._decision_logits(X))
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X):
        """Predict the class of the largest logit.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels.
        """
        positions = to_numpy(self._decision_logits(X).argmax(dim=1))
        return self.classes_[positions]

    def predict_proba(self, X):
        """Predict the probabilities that the loss decides by.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities for classes as frequent as their weighted counts, or
            all alike where the loss knows their frequencies. For those of the
            training data, see ``predict_natural_proba``.
        """
        check_is_fitted(self)
        if self._loss_owns_probabilities:
            return to_numpy(self.criterion_.predict_proba(self._logits(X)))
        return super().predict_proba(X)

    def predict_natural_proba(self, X):
        """Predict probabilities for classes as frequent as in the training data.

        Weights, prior and focus are undone, as the loss knows best.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, for risks and expected counts.

        Raises
        ------
        ValueError
            If the loss has no way back, or is none of ours.
        """
        check_is_fitted(self)
        if not self._loss_is_ours:
            raise ValueError(
                "predict_natural_proba must be asked of a net with a loss of sk_cbloss, got "
                f"criterion={self.criterion!r}."
            )
        return to_numpy(self.criterion_.natural_proba(self._logits(X)))

    def predict_log_proba(self, X):
        """Predict the logarithm of the probabilities.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of what ``predict_proba`` gives.
        """
        check_is_fitted(self)
        if self._loss_owns_probabilities:
            return to_numpy(self.criterion_.predict_log_proba(self._logits(X)))
        return np.log(super().predict_proba(X))

    @property
    def _loss_is_ours(self):
        """Whether the loss knows its probabilities and takes sample weights."""
        compiled = getattr(self.criterion_, "_orig_mod", None)
        return isinstance(compiled or self.criterion_, ClassBalancedLoss)

    @property
    def _loss_owns_probabilities(self):
        return self._loss_is_ours and self.predict_nonlinearity == "auto"

    # ------------------------------------------------------------------ persistence

    def load_params(self, *args, **kwargs):
        """Load parameters and history; see skorch.

        Parameters
        ----------
        *args : tuple
            See ``skorch.NeuralNet.load_params``.
        **kwargs : dict
            See ``skorch.NeuralNet.load_params``.
        """
        requested = vars(self)["device"]
        super().load_params(*args, **kwargs)
        if _is_auto(requested):
            self.device = requested

    def __setstate__(self, state):
        if not _is_auto(state["device"]):
            super().__setstate__(state)
            return
        # Which device "auto" is depends on the machine that loads.
        vars(self).update(device="auto", dtype=state["dtype"])
        super().__setstate__(state | {"device": self.device})
        self.device = "auto"

    __repr__ = BaseEstimator.__repr__

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        return tags


def _is_auto(device):
    return isinstance(device, str) and device == "auto"
