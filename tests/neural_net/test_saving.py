"""Parameters in files: safetensors where the name asks for it, and never unpickled."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sk_cbloss import CBNeuralNetClassifier, load_digits_lt

X, Y = load_digits_lt(return_X_y=True)
X = X / 16


def make_net(**parameters):
    given = {"max_epochs": 2, "random_state": 0, "module__hidden_units": (8,), "device": "cpu"}
    return CBNeuralNetClassifier(**(given | parameters))


def make_empty(**parameters):
    sizes = {"module__n_features": 64, "module__n_classes": 10, "classes": range(10)}
    return make_net(**sizes, **parameters).initialize()


@pytest.mark.filterwarnings("ignore")  # the compiler warns of much in torch itself
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("compiled", [False, True])
def test_saved_and_loaded(tmp_path, suffix, compiled):
    parameters = {"compile": compiled, "compile__backend": "eager"} if compiled else {}
    net = make_net(**parameters).fit(X, Y)
    files = {f"f_{name}": tmp_path / f"{name}.{suffix}" for name in ("params", "optimizer")}
    files["f_history"] = tmp_path / "history.json"
    net.save_params(**files)
    again = make_empty(device="auto")
    again.load_params(**files)
    assert again.get_params()["device"] == "auto"
    np.testing.assert_array_equal(again.decision_function(X), net.decision_function(X))
    assert again.history_[:, "train_loss"] == net.history_[:, "train_loss"]
    ours, theirs = (n.optimizer_.state_dict()["state"] for n in (again, net))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_the_file_is_safetensors(tmp_path):
    net = make_net().fit(X, Y)
    net.save_params(f_params=str(tmp_path / "net.safetensors"))
    tensors = load_file(tmp_path / "net.safetensors")
    assert tensors.keys() == net.module_.state_dict().keys()
    assert torch.equal(tensors["head.bias"], net.module_.head.bias)


def test_the_criterion_and_files_that_are_open(tmp_path):
    net = make_net().fit(X, Y)
    net.save_params(f_criterion=tmp_path / "loss.safetensors")
    assert torch.equal(load_file(tmp_path / "loss.safetensors")["weight"], net.criterion_.weight)
    with open(tmp_path / "net", "wb") as file:
        net.save_params(f_params=file, use_safetensors=True)
    again = make_empty()
    with open(tmp_path / "net", "rb") as file:
        again.load_params(f_params=file, use_safetensors=True)
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))


def test_layouts_and_shared_memory_that_the_format_does_not_know(tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.there = torch.nn.Linear(64, 64)
            self.back = torch.nn.Linear(64, 64)
            self.back.weight = self.there.weight
            self.conv = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)

        def forward(self, x):
            return self.back(self.there(x))[:, :10]

    net = CBNeuralNetClassifier(Tied, channels_last=True, max_epochs=1).fit(X, Y)
    net.save_params(f_params=tmp_path / "net.safetensors")
    again = CBNeuralNetClassifier(Tied, classes=range(10)).initialize()
    again.load_params(f_params=tmp_path / "net.safetensors")
    np.testing.assert_array_equal(again.predict(X), net.predict(X))


class Trap:
    def __reduce__(self):
        return (print, ("sprung",))


def test_nothing_is_unpickled_unless_asked_for(tmp_path, capsys):
    path = tmp_path / "net.pt"
    torch.save({"head.bias": Trap()}, path)
    net = make_empty()
    with pytest.raises(Exception, match="[Ww]eights.only"):
        net.load_params(f_params=path)
    path.rename(tmp_path / "net.safetensors")
    for name in ("f_params", "f_optimizer"):
        with pytest.raises(Exception, match="eader|damaged"):
            net.load_params(**{name: tmp_path / "net.safetensors"})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["f_params", "f_optimizer"])
def test_files_that_cannot_be_written_or_read_are_named(tmp_path, name):
    net, missing = make_net().fit(X, Y), tmp_path / "missing" / "net.safetensors"
    with pytest.raises(OSError, match=f"Could not write {missing}: .*No such file"):
        net.save_params(**{name: missing})
    junk = tmp_path / "junk.safetensors"
    junk.write_text("junk" * 50)
    with pytest.raises(ValueError, match=f"^{junk} must be a whole .* damaged one or another"):
        net.load_params(**{name: junk})


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_skorchs_words_for_what_cannot_be_saved(tmp_path, suffix):
    with pytest.raises(Exception, match="un-initialized"):
        make_net().save_params(f_params=tmp_path / f"net.{suffix}")
    with pytest.raises(AttributeError, match="f_nonsense"):
        make_net().fit(X, Y).save_params(f_nonsense=tmp_path / f"net.{suffix}")


def test_natural_probabilities_ask_for_counts(tmp_path):
    path = tmp_path / "net.safetensors"
    make_net().fit(X, Y).save_params(f_params=path)
    loaded = make_net(module__n_features=64, module__n_classes=10, classes=range(10)).initialize()
    loaded.load_params(f_params=path)
    assert loaded.predict_proba(X).shape == (len(X), 10)
    with pytest.raises(ValueError, match="^predict_natural_proba must .* counted classes"):
        loaded.predict_natural_proba(X)


@pytest.mark.parametrize("name", ["f_params", "f_optimizer", "f_history"])
@pytest.mark.parametrize(
    "damage", [lambda whole: b"", lambda whole: b"junk", lambda whole: whole[: len(whole) // 2]]
)
def test_a_damaged_file_gets_a_sentence(tmp_path, name, damage):
    net = make_net().fit(X, Y)
    expected, file = net.predict_proba(X), tmp_path / "net.pt"
    net.save_params(**{name: file})
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=f"net.pt must be a whole file of {name}, got a damaged"):
        net.load_params(**{name: file})
    np.testing.assert_array_equal(net.predict_proba(X), expected)
