"""Images: reading any file format, resizing, cropping, windowing, transforms and planted copies."""
