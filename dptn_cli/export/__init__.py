"""A trained generator as one ONNX file."""
