"""DICOM: receive, read, compose, send."""
