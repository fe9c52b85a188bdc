"""What `hypermol train` does unless told otherwise: principal volumes for z, the images near a z for its map.

Closed form, minutes on a laptop. Components are only as many as the images of the other half confirm, so a rigid
molecule gets none; maps from the images themselves follow turns and large motions, where few components blur.
"""

from hypermol.methods.ppca import PrincipalVolumes

AUTO = PrincipalVolumes(name="auto", maps_by="regression")
