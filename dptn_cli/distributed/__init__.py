"""The same job on several GPUs of one machine, or on a Ray cluster."""
