"""Running an exported model in onnxruntime or OpenVINO.

`model_file` reads what an ONNX file says of itself, and `session` runs it: in onnxruntime, whose
options are in `providers` and whose buffers on a GPU are in `io_binding`, or in OpenVINO, which is
in `openvino_model`. `arithmetic` decides whether bf16 is close enough. `throughput` and
`batch_size` measure how fast it runs here.
"""
