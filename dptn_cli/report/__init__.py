"""A `scores.Report` as JSON, CSV, HTML, Markdown and LaTeX."""
