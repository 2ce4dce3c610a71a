"""Text-to-image models: prompts, memorisation scores, tokens, mitigations."""
