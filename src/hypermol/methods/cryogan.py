"""CryoGAN: one map by matching the distribution of its noisy projections to that of the images."""

import dataclasses

from hypermol.conformations import NoConformation
from hypermol.methods.likelihood_free import PLAYING, LikelihoodFree
from hypermol.volumes import PositiveVoxels

CRYOGAN = LikelihoodFree(
    name="cryogan",
    source="Gupta, McCann, Donati & Unser 2021, IEEE Trans. Comput. Imaging 7:759",
    volume=PositiveVoxels(),
    conformation=NoConformation(),
    update=dataclasses.replace(PLAYING, learning_rate=2e-2),
)
