"""One night on one machine: the main job for real, and the three things that this product is for.

`python -m nightlatch.local.night` (or `make night`) sets the stage, fires the main job through its schedule,
tells three stories while it runs, and checks each of them. It exits 0 only if all of it held.
"""
