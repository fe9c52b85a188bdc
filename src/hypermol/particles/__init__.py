"""Particles: reading, writing, checking, selecting, halving and streaming images with their metadata."""

from hypermol.particles.batch import Batch
from hypermol.particles.check import CheckReport, check_particles
from hypermol.particles.halves import hashed_halves
from hypermol.particles.identity import images_fingerprint
from hypermol.particles.images import ImageSource
from hypermol.particles.model import Particles
from hypermol.particles.order import pass_order
from hypermol.particles.posed import optics_of, posed_name, write_posed
from hypermol.particles.prepare import Calibration, Preparation, check_preparation
from hypermol.particles.read import read_particles
from hypermol.particles.select import write_selection
from hypermol.particles.stack import StackReader, StackWriter
from hypermol.particles.write import write_star
