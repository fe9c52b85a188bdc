import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.networks import DenseCritic, ImageCritic


@pytest.mark.parametrize("box", [8, 12, 16, 18, 32])
def test_one_number_per_image_whatever_else_is_in_the_batch(box):
    """No layer mixes images, as the gradient penalty of single images requires."""
    for critic in (ImageCritic(box, 4, 8, 6), DenseCritic(box, 7, 2)):
        images = torch.randn(5, box, box)
        whole = critic(images)
        assert whole.shape == (5,)
        torch.testing.assert_close(critic(images[2:3]), whole[2:3])


def test_too_small_a_box_is_refused():
    with pytest.raises(ConfigError, match="more than 4 px"):
        ImageCritic(4, 4, 8, 6)


def test_full_layers_see_every_pixel():
    critic = DenseCritic(8, 16, 3)
    assert [tuple(layer.weight.shape) for layer in critic.layers] == [(16, 64), (16, 16), (16, 16)]
    image = torch.randn(1, 8, 8, requires_grad=True)
    critic(image).sum().backward()
    assert (image.grad != 0).all()
