"""The engine: arrays in, findings out. No network, no database, no DICOM objects."""

import os

# ONNX Runtime 1.32 sends events to its maker and keeps an identifier in the home folder unless told
# otherwise before it is imported. A hospital's node does neither; who sets the variable has chosen.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
