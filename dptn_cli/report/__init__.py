"""Reports as JSON, CSV, HTML, Markdown and LaTeX, and the tables that all of them show."""
