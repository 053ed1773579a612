"""Results and true pictures in, a `scores.Report` out."""
