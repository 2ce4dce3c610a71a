"""The frame that all HTML pages share: one template, one style, figures as SVG, a policy that forbids requests."""
