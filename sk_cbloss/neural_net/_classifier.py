"""CBNeuralNetClassifier, skorch's classifier with class-balanced losses."""

import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNetClassifier

from sk_cbloss._doc_link import DocLink
from sk_cbloss.neural_net._components import Components
from sk_cbloss.neural_net._course import Course
from sk_cbloss.neural_net._parameters import Parameters
from sk_cbloss.neural_net._prediction import Prediction
from sk_cbloss.neural_net._ranked import Ranked
from sk_cbloss.neural_net.callbacks import EpochReporter, with_callbacks
from sk_cbloss.neural_net.data import ArrayDataset, BatchLoader, is_for_labels
from sk_cbloss.neural_net.state import OwnFiles, Portable
from sk_cbloss.neural_net.training import FastSteps


class CBNeuralNetClassifier(
    DocLink,
    EpochReporter,
    Parameters,
    Ranked,
    Course,
    Components,
    Prediction,
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
    loss : {"softmax", "sigmoid", "focal", "softmax_focal", "poly_tailed", \
            "logit_adjusted", "ldam", "cdt", "vs", "multi_label"}, default=None
        Name of the loss; None takes "softmax", or "multi_label" where y has a
        column for each label. Its further parameters have the prefix
        ``criterion__``, such as ``criterion__tau``.
    beta : float in [0, 1], default=None
        See :func:`effective_number`; 0 weights all classes alike, 1 gives
        inverse frequency. None takes 0.999, or 0 for the losses that know the
        classes' frequencies ("logit_adjusted", "ldam", "cdt", "vs").
    gamma : float or (float, float), default=None
        The focal losses' focus on hard samples, or how far the temperatures
        of "cdt" and "vs" differ; from 0 to 1e6. None takes the loss's own: 1,
        or 0.2. Only with a loss that has a gamma; "multi_label" takes one for
        those without and one for those with a label, too.
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
    batch_transform : callable or list of callables, default=None
        Changes the features of each training batch, a tensor on the device,
        such as :class:`~sk_cbloss.neural_net.PadCropFlip`; those of a list in
        turn. A torch.nn.Module is used as it is: it does not learn, and stays
        where it lies.
    early_stopping : bool, default=False
        Whether to hold samples out, and stop once their balanced accuracy (of
        several labels, macro-F1) has not risen by 0.0001 for
        ``n_iter_no_change`` epochs. The best parameters are kept.
    validation_fraction : float in (0, 1), default=0.1
        Share of each class to hold out for early stopping; at least one
        sample of each class that has two. Of several labels, the rarest that a
        sample has takes the class's place; where these are more than the samples
        to hold out, they share them.
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
        ``skorch.dataset.ValidSplit(5, stratified=True)``; of several labels or
        tags, without strata. Classes are counted before the split.
    classes : array-like of shape (n_classes,), default=None
        All labels, sorted; None takes those of y. For several labels a
        sample, the names of y's columns.
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
        Class labels, in the order of the logits; or the labels' names.
    class_count_ : ndarray of shape (n_classes,) or (n_labels, 2), dtype float64
        Number of training samples of each class, or the sum of their weights;
        or of those without and with each label.
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
    ClassBalancedClassifier : Weights any scikit-learn classifier.
    skorch.NeuralNetClassifier : What this is built on.

    Notes
    -----
    A user's ``sample_weight`` is scaled to mean 1 over the training data (over
    the tags that count, or the labels that are known, where not all are),
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

    def __init__(
        self,
        module=None,
        *,
        loss=None,
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

    @with_callbacks
    def fit(self, X, y=None, sample_weight=None, X_val=None, y_val=None, **fit_params):
        """Build the net and train it.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features; or a dict or list of arrays for a module of several
            inputs; or a torch Dataset. Numbers are cast to ``dtype`` (except
            integers in a dict, list or Dataset), a batch at a time where they take
            fewer bytes as they are or lie on disk; sparse matrices are made
            dense a batch at a time.
        y : array-like of shape (n_samples,) or, sparse or not, (n_samples, n_labels), \
                default=None
            Class labels of any kind; or a column of 0 and 1 for each of several
            labels, NaN where that is not known. None only with a Dataset that
            holds them; of several labels, with ``loss="multi_label"``. With
            ``criterion__ignore_index``, rows of tags, integers of which that
            one does not count, for a ``criterion`` of your own -100; logits then
            have classes in dimension 1.
        sample_weight : array-like of shape (n_samples,) or number, default=None
            Weights of the samples.
        X_val : like X, default=None
            Features to validate on after each epoch, in place of
            ``train_split`` and ``validation_fraction``.
        y_val : like y, default=None
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
        return self._train("fit", build, X, y, sample_weight, X_val, y_val, fit_params)

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
            Features, as in ``fit``. A chunk without rows trains nothing; classes
            that it is told are kept.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Labels, as in ``fit``.
        classes : array-like of shape (n_classes,), default=None
            All class labels, in the first call, if y lacks some of them.
        sample_weight : array-like of shape (n_samples,) or number, default=None
            Weights of the samples.
        X_val : like X, default=None
            Features to validate on after each epoch, in place of
            ``train_split`` and ``validation_fraction``.
        y_val : like y, default=None
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
        data = X, y, sample_weight, X_val, y_val
        return self._train("partial_fit", build, *data, fit_params, classes)

    __repr__ = BaseEstimator.__repr__

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.loss is None or is_for_labels(self.loss)
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        return tags
