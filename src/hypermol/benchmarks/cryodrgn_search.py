"""A script for cryoDRGN's own Python: its pose search timed on some images. Arguments: star file, images, hidden units.

The time of a search does not depend on what its network has learned: a new one is asked. Prints seconds per image.
"""

import sys
import time
from importlib import import_module

import numpy as np
import torch


def main(star: str, count: int, hidden: int) -> None:
    """cryoDRGN's defaults of `abinit`: shells 12 to 32 (at most half the box), 8 poses kept, four halvings."""
    models, dataset, lattices, searches = (
        import_module(f"cryodrgn.{name}") for name in ("models", "dataset", "lattice", "pose_search")
    )
    data = dataset.ImageDataset(star, lazy=False, ind=np.arange(count))
    lattice = lattices.Lattice(data.D, extent=0.5)
    shape = {"activation": torch.nn.ReLU, "feat_sigma": 0.5}
    network = models.get_decoder(3, data.D, 3, hidden, "hartley", "gaussian", **shape)
    network.eval()
    side = data.D - 1
    settings = {"base_healpy": 2, "t_extent": 10, "t_ngrid": 7, "niter": 4, "nkeptposes": 8}
    search = searches.PoseSearch(network, lattice, 12, min(32, side // 2), **settings)
    images = torch.stack([torch.as_tensor(data[i]["y"]).reshape(-1) for i in range(count)]).float()
    started = time.process_time(), time.perf_counter()
    with torch.no_grad():
        for some in images.split(8):
            search.opt_theta_trans(some)
    print(f"{(time.process_time() - started[0]) / count:.4f} {(time.perf_counter() - started[1]) / count:.4f}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
