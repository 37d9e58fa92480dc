"""The engine: arrays in, findings out. No network, no database, no DICOM objects."""
