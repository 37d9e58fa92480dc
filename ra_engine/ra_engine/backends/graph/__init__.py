"""An ONNX graph as a torch module, so that torch too runs the bundle's one artefact."""
