"""Running an exported model in onnxruntime.

`model_file` reads what an ONNX file says of itself, `session` runs it, `providers` chooses where
it runs, and `io_binding` keeps its buffers on the GPU. `throughput` and `batch_size` measure how
fast it runs here.
"""
