"""The public boards: Markdown, CSV, parquet and a static site, made from records alone."""
