"""Training: generated images, recipes, networks, calibration, export."""
