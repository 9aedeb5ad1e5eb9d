"""What a rank makes of an error: whether another rank is lost, and what it tells the others."""

import pytest

from sk_cbloss.neural_net.ranks._ranks import _is_of_others, _text

GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/"


@pytest.mark.parametrize(
    ("text", "is_of_others"),
    [
        (GLOO + "unbound_buffer.cc:78] Timed out waiting 3000ms for recv to complete", True),
        (GLOO + "pair.cc:547] Connection closed by peer [127.0.0.1]:2345", True),
        ("Application timeout caused pair closure", True),
        ("NCCL communicator was aborted on rank 1.", True),
        ("DataLoader timed out after 5 seconds", False),
        ("mat1 and mat2 shapes cannot be multiplied (5x3 and 4x2)", False),
        ("Could not load the model gloomy", False),
    ],
)
def test_an_error_is_of_another_rank_where_it_comes_from_what_they_share(text, is_of_others):
    assert _is_of_others(RuntimeError(text)) is is_of_others


def test_only_a_plain_runtime_error_is_of_another_rank():
    assert not _is_of_others(ValueError("Connection closed by peer"))


def test_the_others_are_told_a_public_name():
    class Carried(BaseException):
        pass

    carried = Carried()
    carried.__cause__ = KeyboardInterrupt()
    assert _text(carried) == "KeyboardInterrupt"
    assert _text(ValueError("lr must be above 0.")) == "ValueError: lr must be above 0"
