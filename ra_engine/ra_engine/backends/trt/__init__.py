"""What TensorRT and TensorRT-RTX share: one network builder, one runner, two flavours."""
