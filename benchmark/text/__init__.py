"""Text-to-image models: prompts, tokens, markers, mitigations, and the study with ground truth."""
