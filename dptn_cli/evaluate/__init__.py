"""Results and true images in, a `scores.Report` out."""
