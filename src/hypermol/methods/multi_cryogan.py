"""Multi-CryoGAN: a family of maps by matching the distribution of noisy projections to that of the images."""

from hypermol.conformations import DrawnConformation
from hypermol.methods.likelihood_free import LikelihoodFree
from hypermol.volumes import MapGenerator

MULTI_CRYOGAN = LikelihoodFree(
    name="multi-cryogan",
    source="Gupta, Phan, Yoo & Unser 2020, ECCV workshops",
    volume=MapGenerator(),
    conformation=DrawnConformation(),
)
