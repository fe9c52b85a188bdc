import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.networks import ImageCritic


@pytest.mark.parametrize("box", [8, 12, 16, 18, 32])
def test_one_number_per_image_whatever_else_is_in_the_batch(box):
    """No layer mixes images, as the gradient penalty of single images requires."""
    critic = ImageCritic(box, 4, 8, 6)
    images = torch.randn(5, box, box)
    whole = critic(images)
    assert whole.shape == (5,)
    torch.testing.assert_close(critic(images[2:3]), whole[2:3])


def test_too_small_a_box_is_refused():
    with pytest.raises(ConfigError, match="more than 4 px"):
        ImageCritic(4, 4, 8, 6)
