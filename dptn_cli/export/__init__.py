"""Export of a trained generator to a single ONNX file."""
