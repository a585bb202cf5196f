"""Reports as one HTML page, with their tables as CSV and LaTeX: read from folders of results, or of frames given."""
