"""The report of an audit: `report.html` with images, for those who may see patients; `summary.html` without any."""
