"""Evaluation: folders of results and true images in, a `types.Comparison` out."""
